package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/test/node"
)

// TestDel removes an attachment in all ways that runtimes use, and after everything that
// may have happened before.
func TestDel(t *testing.T) {
	asIs := func(*testing.T, *line, *node.Call) {}
	asked := func(c config) func(*testing.T, *line, *node.Call) {
		return func(t *testing.T, _ *line, del *node.Call) {
			t.Helper()
			del.Stdin = c.bytes(t)
		}
	}
	n := answering(t)
	for name, change := range map[string]func(*testing.T, *line, *node.Call){
		"as it was added": asIs,
		"without CNI_NETNS": func(_ *testing.T, _ *line, del *node.Call) {
			del.NetNS = ""
		},
		"another netns": func(_ *testing.T, l *line, del *node.Call) {
			del.NetNS = l.node.Far.Path()
		},
		"netns that never was": func(_ *testing.T, _ *line, del *node.Call) {
			del.NetNS = "/run/netns/never-was"
		},
		"netns the host's by now": func(_ *testing.T, l *line, del *node.Call) {
			del.NetNS = l.node.NS.Path()
		},
		"netns path gone": func(t *testing.T, l *line, _ *node.Call) {
			must(t, unix.Unmount(l.container.NS.Path(), unix.MNT_DETACH))
			must(t, os.Remove(l.container.NS.Path()))
		},
		"netns unmounted": func(t *testing.T, l *line, _ *node.Call) {
			must(t, unix.Unmount(l.container.NS.Path(), unix.MNT_DETACH))
		},
		"interface gone": func(t *testing.T, l *line, _ *node.Call) { l.remove(t) },
		"interface re-created": func(t *testing.T, l *line, _ *node.Call) {
			l.remove(t)
			l.make(t, 0)
		},
		"other rules":        asked(lab().with("rules", []any{rule("protocol", "udp", "port", 1, "toPort", 2)})),
		"no rules":           asked(lab().without("rules")),
		"invalid rules":      asked(lab().with("rules", []any{rule("port", 70000), nil, "x"})),
		"rules no list":      asked(lab().with("rules", map[string]any{"a": 1})),
		"other mode":         asked(lab().with("mode", "native", "tcHook", "clsact", "flows", 1024)),
		"invalid mode":       asked(lab().with("mode", 5, "tcHook", []any{}, "flows", "many")),
		"without prevResult": asked(lab().without("prevResult")),
		"invalid prevResult": asked(lab().with("prevResult", map[string]any{"cniVersion": "9.9.9", "ips": 5})),
		"nothing but a name": asked(config{"name": "lab", "cniVersion": "0.3.0"}),
		"no version":         asked(lab().without("cniVersion")),
		"version before all": asked(lab().with("cniVersion", "0.2.0")),
		"version to come":    asked(lab().with("cniVersion", "2.0.0")),
		"version no string":  asked(lab().with("cniVersion", 1.1)),
		"version no number":  asked(lab().with("cniVersion", "latest")),
		"longer than a pipe": asked(lab().with("cniVersion", "9.9.9", "_comment", strings.Repeat("x", 1<<20))),
		"garbage": asked(lab().with("rules", -1, "prevResult", "?", "type", 0, "args", true, "runtimeConfig", []any{1},
			"capabilities", map[string]any{"xdpPortRules": true}, "", nil)),
		"XDP link unpinned":  func(t *testing.T, l *line, _ *node.Call) { unpin("xdp")(t, l) },
		"record unpinned":    func(t *testing.T, l *line, _ *node.Call) { unpin("record")(t, l) },
		"program unpinned":   func(t *testing.T, l *line, _ *node.Call) { unpin("../../../../from_container")(t, l) },
		"counters unpinned":  func(t *testing.T, l *line, _ *node.Call) { unpin("../../../../counters")(t, l) },
		"everything is gone": func(t *testing.T, l *line, _ *node.Call) { unpin("../../../..")(t, l) },
	} {
		t.Run(name, func(t *testing.T) {
			l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
			before := node.State()
			l.succeed(t, "ADD", lab())
			l.wantRules(t)
			del := l.call(t, "DEL", lab())
			change(t, l, &del)
			succeed(t, n, del)
			must(t, before.Unchanged())
			succeed(t, n, del)
			if name == "interface gone" {
				return
			}
			if name == "record unpinned" || name == "everything is gone" {
				l.forgetFilters(t)
			}
			l.wantNoPrograms(t)
			l.wantNoRules(t)
			l.remove(t)
		})
	}
}

// TestDelOfNothing runs DEL without an attachment.
func TestDelOfNothing(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	before := node.State()
	l.succeed(t, "DEL", lab()) // nerdctl runs DEL before each ADD
	for name, preparation := range map[string]string{
		"no state folder": `mount -t bpf bpf /sys/fs/bpf`,
		"no bpffs":        `while umount /sys/fs/bpf 2>/dev/null; do :; done`,
		"another":         `mount -t tmpfs none /sys/fs/bpf`,
		"read-only":       `mount -t bpf -o ro bpf /sys/fs/bpf`,
		"no place for it": `mount -t tmpfs none /sys/fs`,
		"foreign":         `mount -t bpf bpf /sys/fs/bpf && mkdir /sys/fs/bpf/xdp-port && chown 1000 /sys/fs/bpf/xdp-port`,
		"a link":          `mount -t bpf bpf /sys/fs/bpf && ln -s /tmp /sys/fs/bpf/xdp-port`,
	} {
		t.Run(name, func(t *testing.T) {
			del := l.call(t, "DEL", lab())
			del.Through = inShell(preparation)
			succeed(t, n, del)
		})
	}
	must(t, before.Unchanged())
	l.succeed(t, "ADD", lab())
	l.wantRules(t)
}

// TestDelInOpenFolder opens the state folder to other users. DEL must still work, and the
// message must not advise to remove the state.
func TestDelInOpenFolder(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	l.succeed(t, "ADD", lab())
	must(t, os.Chmod(bpffs.Folder, 0o770))
	t.Cleanup(func() { _ = os.Chmod(bpffs.Folder, 0o700) }) // the folder may be gone
	fail(t, n, status(t), 50, "0770", "chmod 0700 "+bpffs.Folder)
	l.succeed(t, "DEL", lab())
	l.wantNoPrograms(t)
}

// TestDelTouchesNothingElse attaches four interfaces with keys that differ in one part only.
func TestDelTouchesNothingElse(t *testing.T) {
	n := answering(t)
	a, b := newContainer(t, n), newContainer(t, n)
	victim := lay(t, n, a, "a", "eth0", 1)
	sameNetwork, otherContainer, otherNetwork := lay(t, n, a, "a", "net1", 2), lay(t, n, b, "b", "eth0", 3), lay(t, n, a, "a", "eth1", 4)
	other := lab().with("name", "other")
	networks := map[*line]config{victim: lab(), sameNetwork: lab(), otherContainer: lab(), otherNetwork: other}
	attached := map[*line][]ebpf.ProgramID{}
	for l, network := range networks {
		l.succeed(t, "ADD", network)
		l.wantRules(t)
	}
	for l := range networks {
		attached[l] = l.programs(t)
	}

	// Similar keys that have no attachment.
	succeed(t, n, victim.call(t, "DEL", other))
	for _, similar := range []struct{ id, ifname string }{{"a", "eth"}, {"a", "eth00"}, {"aa", "eth0"}, {"A", "eth0"}, {"a.eth0", "eth0"}} {
		del := victim.call(t, "DEL", lab())
		del.ContainerID, del.IfName = similar.id, similar.ifname
		succeed(t, n, del)
	}
	for _, name := range []string{"la", "labb", "lab.", "Lab"} {
		victim.succeed(t, "DEL", lab().with("name", name))
	}
	wantUntouched(t, networks, attached)

	victim.succeed(t, "DEL", lab())
	victim.wantNoPrograms(t)
	victim.wantNoRules(t)
	delete(networks, victim)
	wantUntouched(t, networks, attached)

	otherNetwork.succeed(t, "DEL", other)
	delete(networks, otherNetwork)
	wantUntouched(t, networks, attached)
}

func wantUntouched(t *testing.T, networks map[*line]config, attached map[*line][]ebpf.ProgramID) {
	t.Helper()
	for l, network := range networks {
		l.wantRules(t)
		l.succeed(t, "CHECK", network)
		if got := l.programs(t); !slices.Equal(got, attached[l]) {
			t.Errorf("%s of %s had the programs %v, now has %v", l.ifname, l.id, attached[l], got)
		}
	}
}

// TestLastDelTakesTheRulesetAlong looks at the pins of two containers.
func TestLastDelTakesTheRulesetAlong(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	first, second := lay(t, n, c, "a", "eth0", 1), lay(t, n, c, "b", "eth1", 2)
	before := node.State()
	first.succeed(t, "ADD", lab())
	second.succeed(t, "ADD", lab())
	ruleset := filepath.Clean(second.ruleset(t))
	first.succeed(t, "DEL", lab())
	second.succeed(t, "CHECK", lab())
	second.succeed(t, "DEL", lab())
	if _, err := os.Stat(ruleset); !os.IsNotExist(err) {
		t.Errorf("the ruleset is still there: %v", err)
	}
	must(t, before.Unchanged())
}
