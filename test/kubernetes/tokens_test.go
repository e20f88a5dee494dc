package kubernetes

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/vishvananda/netns"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

// testTokens expects only authorized clients to read metrics.
func (c *cluster) testTokens() {
	folder := filepath.Join(c.folder, "tokens")
	c.must(os.MkdirAll(folder, 0o700))
	base, err := filepath.Rel(folder, deploy(c.T))
	c.must(err)
	c.must(os.WriteFile(filepath.Join(folder, "kustomization.yaml"),
		fmt.Appendf(nil, "resources: [%s]\ncomponents: [%s/tokens]\n", base, base), 0o600))
	c.kubectl("apply", "-k", folder)
	c.rolledOut()
	n := c.nodes[0]
	codes := map[string]int{"scraper": http.StatusOK, "stranger": http.StatusForbidden}
	for account := range codes {
		c.kubectl("create", "serviceaccount", account)
	}
	c.kubectl("create", "clusterrolebinding", "scraper", "--clusterrole=xdp-port-metrics", "--serviceaccount=default:scraper")
	for account, want := range codes {
		token := strings.TrimSpace(c.kubectl("create", "token", account))
		c.eventually(account+" is answered as it should be", func() error {
			code, text, err := n.scrape(token)
			if err == nil && (code != want || strings.Contains(text, "xdp_port_attachments ") != (want == http.StatusOK)) {
				err = fmt.Errorf("%d, want %d: %s", code, want, text)
			}
			return err
		})
	}
	if code, text, err := n.scrape(""); err != nil || code != http.StatusUnauthorized {
		c.Errorf("without a token: %d %s (%v)", code, text, err)
	}
	c.kubectl("delete", "clusterrolebinding", "scraper", "xdp-port-tokens")
	c.kubectl("apply", "-k", deploy(c.T))
	c.rolledOut()
}

// scrape requests the metrics of a node's agent.
func (n *node) scrape(token string) (code int, text string, err error) {
	client := http.Client{Timeout: machine.Patience, Transport: &http.Transport{
		DialContext: n.dial, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true,
	}}
	address := n.c.get("node", n.name, `.status.addresses[?(@.type=="InternalIP")].address`)
	request, err := http.NewRequest(http.MethodGet, "https://"+net.JoinHostPort(address, "9435")+"/metrics", nil)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response.StatusCode, string(body), err
}

// dial connects from a node. It keeps its thread, which stays in the node's network namespace.
func (n *node) dial(_ context.Context, network, address string) (conn net.Conn, err error) {
	namespace, err := os.Open(n.m.File("/proc/1/ns/net"))
	if err != nil {
		return nil, err
	}
	defer namespace.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		if err = netns.Set(netns.NsHandle(namespace.Fd())); err == nil {
			conn, err = net.DialTimeout(network, address, 10*time.Second)
		}
	}()
	<-done
	return conn, err
}

// testRoleRemoved deletes an agent that may no longer ask whether its DaemonSet is being deleted. The node
// must stay as it is.
func (c *cluster) testRoleRemoved() {
	n := c.nodes[0]
	c.kubectl("-n", "xdp-port", "delete", "rolebinding", "xdp-port")
	wasMissing := n.watchConflist()
	c.kubectl("-n", "xdp-port", "delete", "pod", "-l", "app.kubernetes.io/name=xdp-port", "--field-selector=spec.nodeName="+n.name, "--wait")
	if text := wasMissing(); text != "" {
		c.Errorf("the conflist was put back: %s", text)
	}
	c.kubectl("apply", "-k", deploy(c.T))
	c.rolledOut()
	c.works(n)
}
