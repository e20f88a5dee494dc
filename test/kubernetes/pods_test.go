package kubernetes

import (
	"fmt"
	"strings"
	"time"
)

// pod is a pod with the echo image.
type pod struct {
	name, node string
	args       []string
	rules      string // the pod's own
	once       bool   // it is not restarted when it ends
}

// serve is the arguments of a server.
var serve = []string{"serve", "6998", "7998", "7999"}

func (c *cluster) run(p pod) {
	c.Helper()
	c.create(p)
	c.running(p.name)
}

func (c *cluster) create(p pod) {
	c.Helper()
	policy := "Always"
	if p.once {
		policy = "Never"
	}
	annotations := object{}
	if p.rules != "" {
		annotations["xdp-port/rules"] = p.rules
	}
	c.apply(object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{"name": p.name, "annotations": annotations},
		"spec": object{
			"nodeName": p.node, "restartPolicy": policy, "terminationGracePeriodSeconds": 1,
			"tolerations":                  []object{{"operator": "Exists"}},
			"automountServiceAccountToken": false,
			"containers": []object{{
				"name": "echo", "image": echoImage, "imagePullPolicy": "Never", "args": p.args,
			}},
		},
	})
}

// running waits until a pod is running.
func (c *cluster) running(name string) {
	c.Helper()
	c.eventually(name+" runs", func() error {
		out, err := c.tryKubectl("get", "pod", name, "-o", "jsonpath={.status.phase} {.status.containerStatuses[0].ready}")
		if err == nil && strings.TrimSpace(out) != "Running true" {
			err = fmt.Errorf("%s: %s\n%s", name, out, c.events(name))
		}
		return err
	})
}

// events are the messages about a pod.
func (c *cluster) events(name string) string {
	out, err := c.tryKubectl("get", "events", "--field-selector", "involvedObject.name="+name, "-o",
		`jsonpath={range .items[*]}{.message}{"\n"}{end}`)
	if err != nil {
		return err.Error()
	}
	return out
}

func (c *cluster) address(name string) string {
	c.Helper()
	return c.get("pod", name, ".status.podIP")
}

// ask lets a pod ask a server for the port that the request arrived at.
func (c *cluster) ask(client, protocol, server string, port int) (string, error) {
	out, err := c.tryKubectl("exec", client, "--", "/echo", "ask", protocol, fmt.Sprintf("%s:%d", server, port))
	return strings.TrimSpace(out), err
}

// want expects this answer of the server, over both protocols.
func (c *cluster) want(client, server string, port, reached int) {
	c.Helper()
	for _, protocol := range []string{"udp", "tcp"} {
		got, err := c.ask(client, protocol, server, port)
		if want := fmt.Sprintf("%s %d", protocol, reached); got != want {
			c.Errorf("%s asks for %s %d: got %q, want %q (%v)", client, protocol, port, got, want, err)
		}
	}
}

// talk starts a pod on the first node. The pod keeps a TCP connection to the server through the rule for
// port 7999. talk waits until the pod is running. The arguments may set a pause between words.
func (c *cluster) talk(name string, pause ...string) {
	c.Helper()
	args := append([]string{"talk", c.server() + ":7999"}, pause...)
	c.run(pod{name: name, node: c.nodes[0].name, args: args, once: true})
	c.eventually(name+" talks", func() error {
		out, err := c.tryKubectl("logs", name)
		if err == nil && !strings.Contains(out, "talking to 7998") {
			err = fmt.Errorf("%q", out)
		}
		return err
	})
}

// stillTalks expects a connection to be still open.
func (c *cluster) stillTalks(names ...string) {
	c.Helper()
	// A talker waits a shorter time for an answer, so a broken connection is known afterwards.
	time.Sleep(4 * time.Second)
	for _, name := range names {
		if phase := c.get("pod", name, ".status.phase"); phase != "Running" {
			out, _ := c.tryKubectl("logs", name)
			c.Errorf("%s is %s: %s", name, phase, out)
		}
	}
}

// remove removes pods, and waits until they are gone.
func (c *cluster) remove(names ...string) {
	c.Helper()
	c.kubectl(append([]string{"delete", "pod", "--wait"}, names...)...)
}
