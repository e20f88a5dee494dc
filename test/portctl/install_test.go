package portctl

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

// plain is the network lab without xdp-port, as its own installer has it.
const plain = `{
  "cniVersion": "1.0.0",
  "name": "lab",
  "plugins": [
    {
      "type": "bridge", "bridge": "cni0", "isGateway": true,
      "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.88.0.0/16" }]], "routes": [{ "dst": "0.0.0.0/0" }], "dataDir": "DIR/ipam" }
    }
  ]
}
`

// target is a node to install on.
type target struct {
	*testing.T
	*node.Node
	bin, conflist, config string
}

func newTarget(t *testing.T) target {
	n := newNode(t)
	folder := filepath.Join(n.Dir, "net.d")
	must(t, os.MkdirAll(folder, 0o700))
	o := target{t, n, t.TempDir(), filepath.Join(folder, "lab.conflist"), filepath.Join(t.TempDir(), "rules.json")}
	return o
}

// writeNetwork writes the conflist as the network's installer does.
func (o target) writeNetwork() string {
	o.Helper()
	text := strings.ReplaceAll(plain, "DIR", o.Dir)
	must(o.T, os.WriteFile(o.conflist, []byte(text), 0o640))
	return text
}

// configure writes the rules that are to be installed.
func (o target) configure(rules string) {
	o.Helper()
	must(o.T, os.WriteFile(o.config, []byte(`{ "rules": [`+rules+`] }`), 0o600))
}

func (o target) read(path string) string {
	o.Helper()
	text, err := os.ReadFile(path)
	must(o.T, err)
	return string(text)
}

// args adds where things are.
func (o target) args(command string, more ...string) []string {
	return append([]string{command, "--bin-dir", o.bin, "--net-dir", filepath.Dir(o.conflist)}, more...)
}

const (
	to7998 = `{ "name": "main", "protocol": "udp", "port": 7999, "toPort": 7998 }`
	to7997 = `{ "name": "main", "protocol": "udp", "port": 7999, "toPort": 7997 }`
)

// TestInstall installs, has a container get its rules by that, and uninstalls
// while it runs.
func TestInstall(t *testing.T) {
	o := newTarget(t)
	portctl(t, o.Node, o.args("install", "--config", o.config)...).want(t, 1)
	portctl(t, o.Node, o.args("install", "--config", o.config, "--best-effort")...).want(t, 0)
	o.configure(to7998)
	out := portctl(t, o.Node, o.args("install", "--config", o.config)...)
	out.want(t, 1)
	if !strings.Contains(out.stderr, "no network is configured") || !strings.Contains(out.stderr, "--wait") {
		t.Errorf("without a network: %s", out.stderr)
	}
	portctl(t, o.Node, o.args("install", "--config", o.config, "--best-effort")...).want(t, 0)

	original := o.writeNetwork()
	portctl(t, o.Node, o.args("install", "--config", o.config)...).want(t, 0)
	installed := o.read(o.conflist)
	if text := portctl(t, o.Node, o.args("install", "--config", o.config)...).want(t, 0); !strings.Contains(text, "unchanged") || o.read(o.conflist) != installed {
		t.Errorf("again: %s%s", text, o.read(o.conflist))
	}
	built, err := node.BinDir()
	must(t, err)
	for _, name := range []string{"xdp-port", "xdp-portctl"} {
		if text := o.read(filepath.Join(o.bin, name)); !bytes.Equal([]byte(text), []byte(o.read(filepath.Join(built, name)))) {
			t.Errorf("%s is not what was built", name)
		}
	}
	c := attach(t, o.Node)
	arrivals := watchArrivals(t, o.Node, 7998)
	wantArrival(t, o, c, arrivals, 7998)

	if text := portctl(t, o.Node, o.args("uninstall")...).want(t, 0); !strings.Contains(text, "programs stay") {
		t.Errorf("with a container attached: %s", text)
	}
	if got := o.read(o.conflist); got != original {
		t.Errorf("the conflist is\n%s\nwant\n%s", got, original)
	}
	if info, err := os.Stat(o.conflist); err != nil || info.Mode() != 0o640 {
		t.Errorf("its mode is %v (%v)", info.Mode(), err)
	}
	wantArrival(t, o, c, arrivals, 7998)
	must(t, c.Detach("lab")) // the network has no xdp-port any more, so that it is not asked
	portctl(t, o.Node, "gc").want(t, 0)
	portctl(t, o.Node, o.args("uninstall")...).want(t, 0)
	for _, folder := range []string{o.bin, filepath.Dir(o.conflist)} {
		entries, err := os.ReadDir(folder)
		must(t, err)
		for _, entry := range entries {
			if entry.Name() != filepath.Base(o.conflist) {
				t.Errorf("%s is still in %s", entry.Name(), folder)
			}
		}
	}
}

// wantArrival wants a datagram to 7999 to arrive at another port.
func wantArrival(t *testing.T, o target, c *node.Container, a *arrivals, port int) {
	t.Helper()
	before := a.count(port)
	conn, err := node.DialUDP(c.NS, far(7999))
	must(t, err)
	defer conn.Close()
	eventually(t, func() string {
		_, _ = conn.Write([]byte("datagram"))
		if a.count(port) > before {
			return ""
		}
		list := portctl(t, o.Node, "list")
		return "nothing arrives: " + list.stdout + list.stderr
	})
}

// TestInstallMistakes changes nothing where there are any.
func TestInstallMistakes(t *testing.T) {
	o := newTarget(t)
	original := o.writeNetwork()
	for rules, want := range map[string]string{
		`{"protocol": "udp", "port": 70000, "action": "drop"}`: ":1:41: mistake: rules[0].port: 70000 is not a port",
		to7998 + "," + to7998: `"main" is the name of rules[0] already`,
		`]`:                   "invalid character",
	} {
		o.configure(rules)
		out := portctl(t, o.Node, o.args("install", "--config", o.config)...)
		out.want(t, 1)
		if !strings.Contains(out.stderr, want) || !strings.Contains(out.stderr, o.config) {
			t.Errorf("%s: %s", rules, out.stderr)
		}
	}
	if left, _ := os.ReadDir(o.bin); len(left) > 0 || o.read(o.conflist) != original {
		t.Errorf("%v, %s", left, o.read(o.conflist))
	}
}

// TestInstallBestEffort installs the programs whatever else is wrong, and says
// what is.
func TestInstallBestEffort(t *testing.T) {
	const mistake = `{"protocol": "udp", "port": 70000, "action": "drop"}`
	for _, test := range []struct{ rules, network, want string }{
		{"", plain, "no such file"},
		{mistake, plain, "rules[0].port: 70000 is not a port"},
		{to7998, "", "no network is configured"},
		{to7998, plain[:len(plain)/2], "lab.conflist"},
	} {
		t.Run(test.want, func(t *testing.T) {
			o := newTarget(t)
			if test.rules != "" {
				o.configure(test.rules)
			}
			if test.network != "" {
				must(t, os.WriteFile(o.conflist, []byte(test.network), 0o640))
			}
			out := portctl(t, o.Node, o.args("install", "--config", o.config, "--best-effort")...)
			out.want(t, 0)
			if !strings.Contains(out.stderr, test.want) {
				t.Errorf("it says %s", out.stderr)
			}
			for _, name := range []string{"xdp-port", "xdp-portctl"} {
				if _, err := os.Stat(filepath.Join(o.bin, name)); err != nil {
					t.Error(err)
				}
			}
			if text, err := os.ReadFile(o.conflist); string(text) != test.network {
				t.Errorf("the conflist is %s (%v)", text, err)
			}
		})
	}
}
