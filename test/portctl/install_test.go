package portctl

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// plain is the network lab without xdp-port, as its own installer writes it.
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
	n := node.ForTest(t)
	folder := filepath.Join(n.Dir, "net.d")
	must(t, os.MkdirAll(folder, 0o700))
	o := target{t, n, t.TempDir(), filepath.Join(folder, "lab.conflist"), filepath.Join(t.TempDir(), "rules.json")}
	return o
}

// writeNetwork writes the conflist as the network's installer does.
func (o target) writeNetwork() string {
	o.Helper()
	text := o.plain()
	must(o.T, os.WriteFile(o.conflist, []byte(text), 0o640))
	return text
}

// configure writes the rules to install.
func (o target) configure(rules string) {
	o.Helper()
	must(o.T, os.WriteFile(o.config, []byte(`{ "rules": [`+rules+`] }`), 0o600))
}

func (o target) plain() string { return strings.ReplaceAll(plain, "DIR", o.Dir) }

func (o target) read(path string) string {
	o.Helper()
	text, err := os.ReadFile(path)
	must(o.T, err)
	return string(text)
}

// args adds the flags with the paths.
func (o target) args(command string, more ...string) []string {
	return append([]string{command, "--bin-dir", o.bin, "--net-dir", filepath.Dir(o.conflist)}, more...)
}

const (
	to7998 = `{ "name": "main", "protocol": "udp", "port": 7999, "toPort": 7998 }`
	to7997 = `{ "name": "main", "protocol": "udp", "port": 7999, "toPort": 7997 }`
)

// TestInstall installs, starts a container with the rules, and uninstalls while it runs.
func TestInstall(t *testing.T) {
	o := newTarget(t)
	portctl(t, o.Node, o.args("install", "--config", o.config)...).want(t, 1)
	portctl(t, o.Node, o.args("install", "--config", o.config, "--best-effort")...).want(t, 0)
	o.configure(to7998)
	out := portctl(t, o.Node, o.args("install", "--config", o.config)...)
	out.want(t, 1)
	if !strings.Contains(out.stderr, "no configured network") || !strings.Contains(out.stderr, "--wait") {
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
	must(t, c.Detach("lab")) // the network has no xdp-port any more, so DEL does not run it
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

// wantArrival expects a datagram to 7999 to arrive at another port.
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

// TestInstallErrors expects install to change nothing if there is an error.
func TestInstallErrors(t *testing.T) {
	o := newTarget(t)
	original := o.writeNetwork()
	for rules, want := range map[string]string{
		`{"protocol": "udp", "port": 70000, "action": "drop"}`: ":1:41: error: rules[0].port: 70000 is not a port",
		to7998 + "," + to7998:         `"main" is already the name of rules[0]`,
		`]`:                           "invalid character",
		`], "prevResult": {}, "_": [`: "prevResult: the runtime fills it in for each container: leave the key out",
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

// TestInstallBestEffort expects install to install the programs and report all other errors.
func TestInstallBestEffort(t *testing.T) {
	const invalid = `{"protocol": "udp", "port": 70000, "action": "drop"}`
	for _, test := range []struct{ rules, network, want string }{
		{"", plain, "no such file"},
		{invalid, plain, "rules[0].port: 70000 is not a port"},
		{to7998, "", "no configured network"},
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

// TestInstallOwners gives the conflist to another user or group, as some installers do. With
// the capabilities of the manifest, install edits it and keeps its owner. Without them it must
// fail, also in best-effort mode, because an agent could do no more.
func TestInstallOwners(t *testing.T) {
	for _, owner := range []struct{ uid, gid, mode int }{{0, 1000, 0o640}, {1000, 1000, 0o600}} {
		o := newTarget(t)
		o.configure(to7998)
		original := o.writeNetwork()
		must(t, os.Chown(o.conflist, owner.uid, owner.gid))
		must(t, os.Chmod(o.conflist, fs.FileMode(owner.mode)))
		run := func(capabilities []string, args ...string) outcome {
			tool := node.ToolCommand(t, o.args(args[0], args[1:]...)...)
			confineTo(t, tool, capabilities)
			return runTool(t, o.Node, tool)
		}
		out := run(nil, "install", "--config", o.config, "--best-effort")
		out.want(t, 1)
		if !strings.Contains(out.stderr, "CAP_") || o.left() != "lab.conflist" {
			t.Errorf("%+v: without capabilities: %s; there is %s", owner, out.stderr, o.left())
		}
		with := capabilities(t, "install")
		run(with, "install", "--config", o.config, "--best-effort").want(t, 0)
		wantOwner := func() {
			t.Helper()
			info, err := os.Stat(o.conflist)
			must(t, err)
			stat := info.Sys().(*syscall.Stat_t)
			if int(stat.Uid) != owner.uid || int(stat.Gid) != owner.gid || int(info.Mode()) != owner.mode {
				t.Errorf("it is %d:%d with mode %v, want %+v", stat.Uid, stat.Gid, info.Mode(), owner)
			}
		}
		wantOwner()
		if text := o.read(o.conflist); !strings.Contains(text, `"xdp-port"`) {
			t.Errorf("%s", text)
		}
		run(append(with, "bpf", "net_admin", "perfmon"), "uninstall").want(t, 0)
		wantOwner()
		if text := o.read(o.conflist); text != original || o.left() != "lab.conflist" {
			t.Errorf("%s; there is %s", text, o.left())
		}
	}
}

// left lists the folder of the networks.
func (o target) left() string {
	o.Helper()
	entries, err := os.ReadDir(filepath.Dir(o.conflist))
	must(o.T, err)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return strings.Join(names, " ")
}

// TestInstallRefused expects the cause that stops root, and no useless advice.
func TestInstallRefused(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	original := o.writeNetwork()
	must(t, exec.Command("chattr", "+i", o.conflist).Run())
	t.Cleanup(func() { _ = exec.Command("chattr", "-i", o.conflist).Run() })
	for _, more := range [][]string{nil, {"--best-effort"}} {
		out := portctl(t, o.Node, o.args("install", append(more, "--config", o.config)...)...)
		out.want(t, 1)
		if !strings.Contains(out.stderr, "chattr -i") || strings.Contains(out.stderr, "sudo") || strings.Contains(out.stderr, "bpffs") {
			t.Errorf("%s", out.stderr)
		}
	}
	if o.left() != "lab.conflist" || o.read(o.conflist) != original {
		t.Errorf("there is %s", o.left())
	}
}

// TestInstallPipe puts a pipe without a writer into the folder. Install must end in time.
func TestInstallPipe(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	o.writeNetwork()
	pipe := filepath.Join(filepath.Dir(o.conflist), "00-pipe.conflist")
	must(t, unix.Mkfifo(pipe, 0o600))
	out := portctl(t, o.Node, o.args("install", "--config", o.config)...)
	out.want(t, 1)
	if !strings.Contains(out.stderr, pipe+" is not a regular file") || !strings.Contains(out.stderr, "repair or remove the file") {
		t.Errorf("%s", out.stderr)
	}
	portctl(t, o.Node, o.args("install", "--config", o.config, "--conflist", "lab.conflist")...).want(t, 0)
	portctl(t, o.Node, o.args("uninstall")...).want(t, 0)
	// CRI-O skips it.
	portctl(t, o.Node, o.args("install", "--config", o.config, "--runtime", "cri-o")...).want(t, 0)
	if text := o.read(o.conflist); !strings.Contains(text, `"xdp-port"`) {
		t.Errorf("%s", text)
	}
	portctl(t, o.Node, o.args("uninstall")...).want(t, 0)
}

// TestInstallUsage expects install to refuse a file that uninstall would not find.
func TestInstallUsage(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	for _, more := range [][]string{
		{"--conflist", "../x"}, {"--conflist", "/etc/x"}, {"--runtime", "docker"}, {"--bin-dir", ""}, {"--net-dir", ""}, {"--config", ""},
	} {
		for _, command := range []string{"install", "agent"} {
			out := portctl(t, o.Node, o.args(command, append([]string{"--config", o.config}, more...)...)...)
			out.want(t, 2)
			if !strings.Contains(out.stderr, more[0]) {
				t.Errorf("%s %v: %s", command, more, out.stderr)
			}
		}
	}
}

// TestInstallMissing expects the flag of a path that is missing or no folder.
func TestInstallMissing(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	none := filepath.Join(t.TempDir(), "none")
	for _, command := range []string{"install", "agent"} {
		for _, test := range []struct{ flag, path, says string }{
			{"--bin-dir", none, "no such file or directory"},
			{"--bin-dir", o.config, o.config + " is not a folder"},
			{"--net-dir", none, "no such file or directory"},
			{"--net-dir", o.config, o.config + " is not a folder"},
			{"--config", none, "no such file or directory"},
			{"--from", none, "no such file or directory"},
			{"--conflist", "none.conflist", "none.conflist does not exist: install a network first, or use --wait"},
		} {
			if command == "agent" && test.flag != "--bin-dir" && test.flag != "--net-dir" {
				continue // it waits for the path, or has no such flag
			}
			out := portctl(t, o.Node, o.args(command, "--config", o.config, test.flag, test.path)...)
			out.want(t, 1)
			if !strings.Contains(out.stderr, test.flag+": ") || !strings.Contains(out.stderr, test.says) {
				t.Errorf("%s %s %s: %s", command, test.flag, test.path, out.stderr)
			}
		}
	}
	out := portctl(t, o.Node, o.args("install", "--config", o.config)...)
	out.want(t, 1)
	if !strings.Contains(out.stderr, "--net-dir: no configured network in "+filepath.Dir(o.conflist)) {
		t.Errorf("%s", out.stderr)
	}
}

// TestInstallOverwritten has keys that the conflist overwrites. Install must report them as
// validate does.
func TestInstallOverwritten(t *testing.T) {
	o := newTarget(t)
	o.writeNetwork()
	must(t, os.WriteFile(o.config, []byte("{ \"rules\": [],\n  \"name\": \"other\" }"), 0o600))
	out := portctl(t, o.Node, o.args("install", "--config", o.config)...)
	out.want(t, 0)
	const says = "name: has no effect, because the conflist's name replaces it: leave the key out"
	if want := o.config + ":2:11: warning: " + says; !strings.Contains(out.stderr, want) {
		t.Errorf("no %q in %s", want, out.stderr)
	}
	if text := portctl(t, o.Node, "validate", o.conflist).want(t, 0); !strings.Contains(text, "warning: plugins[1]."+says) {
		t.Errorf("validate: %s", text)
	}
}

// TestUninstallRenamed expects uninstall to keep the programs and the saved original if another
// installer has renamed the conflist, as Cilium does.
func TestUninstallRenamed(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	original := o.writeNetwork()
	portctl(t, o.Node, o.args("install", "--config", o.config)...).want(t, 0)
	aside := o.conflist + ".cilium_bak"
	must(t, os.Rename(o.conflist, aside))
	text := portctl(t, o.Node, o.args("uninstall")...).want(t, 0)
	for _, want := range []string{"programs stay", aside, o.conflist + ".xdp-port-original"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in %s", want, text)
		}
	}
	if programs, err := os.ReadDir(o.bin); err != nil || len(programs) != 2 {
		t.Errorf("the programs are %v (%v)", programs, err)
	}
	must(t, os.Rename(aside, o.conflist))
	portctl(t, o.Node, o.args("uninstall")...).want(t, 0)
	if o.left() != "lab.conflist" || o.read(o.conflist) != original {
		t.Errorf("there is %s: %s", o.left(), o.read(o.conflist))
	}
	if programs, err := os.ReadDir(o.bin); err != nil || len(programs) != 0 {
		t.Errorf("the programs are %v (%v)", programs, err)
	}
}

// TestDropIns has a network with each plugin in a file of its own, as libcni 1.3 allows. Commands
// must read them and name the place of an error.
func TestDropIns(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	folder := filepath.Join(filepath.Dir(o.conflist), "lab")
	must(t, os.Mkdir(folder, 0o700))
	must(t, os.WriteFile(o.conflist, []byte(`{ "cniVersion": "1.0.0", "name": "lab" }`), 0o600))
	_, bridge, _ := strings.Cut(o.plain(), `"plugins": [`)
	bridge, _, _ = strings.Cut(bridge, "\n  ]")
	must(t, os.WriteFile(filepath.Join(folder, "10-bridge.conf"), []byte(bridge), 0o600))
	aside := filepath.Join(folder, "05-macvlan.conf")
	must(t, os.WriteFile(aside, []byte("{ \"name\": \"lab\",\n  \"type\": \"macvlan\" }"), 0o600))
	out := portctl(t, o.Node, o.args("install", "--config", o.config)...)
	out.want(t, 1)
	if want := aside + `:2:11: error: plugins[0].type: "macvlan" makes no veth`; !strings.Contains(out.stderr, want) {
		t.Errorf("no %q in %s", want, out.stderr)
	}
	must(t, os.Remove(aside))
	entry := filepath.Join(folder, "99-xdp-port.conf")
	for _, state := range []string{"xdp-port was added", "unchanged"} {
		text := portctl(t, o.Node, o.args("install", "--config", o.config)...).want(t, 0)
		if !strings.Contains(text, entry+": "+state+"\n") || strings.Contains(text, o.conflist) {
			t.Errorf("it was written to %s: %s", entry, text)
		}
	}
	portctl(t, o.Node, "validate", o.conflist).want(t, 0)
	c := attach(t, o.Node)
	arrivals := watchArrivals(t, o.Node, 7998)
	wantArrival(t, o, c, arrivals, 7998)
	must(t, os.WriteFile(entry, []byte("{ \"type\": \"xdp-port\",\n  \"rules\": [ "+to7997+" ] }"), 0o600))
	if text := portctl(t, o.Node, "apply", o.conflist).want(t, 0); !strings.Contains(text, "changed") {
		t.Errorf("%s", text)
	}
	must(t, c.Detach("lab"))
	must(t, os.WriteFile(entry, []byte("{ \"type\": \"xdp-port\",\n  \"rules\": 1 }"), 0o600))
	out = portctl(t, o.Node, "validate", o.conflist)
	out.want(t, 1)
	if !strings.Contains(out.stdout, entry+":2:12: ") {
		t.Errorf("%s", out.stdout)
	}
	portctl(t, o.Node, o.args("uninstall")...).want(t, 0)
	if left := o.left(); left != "lab lab.conflist" {
		t.Errorf("there is %s", left)
	}
}
