package conformance

import (
	"path/filepath"
	"testing"

	"github.com/xdp-port/xdp-port/test/internal/need"
	"github.com/xdp-port/xdp-port/test/node"
)

func status(t *testing.T) node.Call {
	t.Helper()
	return node.Call{Operation: "STATUS", Stdin: lab().without("prevResult").bytes(t)}
}

// without returns a command that runs the plugin with fewer capabilities.
func without(capabilities string) []string {
	return []string{"setpriv", "--bounding-set", capabilities, "--inh-caps", capabilities}
}

// TestStatusChangesNothing runs STATUS on a healthy node.
func TestStatusChangesNothing(t *testing.T) {
	n := node.ForTest(t)
	before := node.State()
	ask := status(t)
	ask.Through = inMountsThatStay("")
	succeed(t, n, ask)
	must(t, before.Unchanged())
}

// inMountsThatStay returns a command that runs the plugin after a preparation, in its own
// mount namespace. The command fails if the mounts have changed afterwards.
func inMountsThatStay(preparation string) []string {
	return []string{"unshare", "--mount", "sh", "-c", preparation +
		`mounts=$(cat /proc/self/mountinfo) && "$0" && [ "$mounts" = "$(cat /proc/self/mountinfo)" ]`}
}

// TestStatusKnowsPrivileges removes capabilities. If STATUS succeeds, ADD must succeed.
func TestStatusKnowsPrivileges(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	for capabilities, missing := range map[string][]string{
		"-wake_alarm":                        nil,
		"-all,+net_admin,+sys_admin":         nil,
		"-bpf,-perfmon":                      nil, // CAP_SYS_ADMIN includes them
		"-net_admin":                         {"CAP_NET_ADMIN"},
		"-sys_admin":                         {"CAP_SYS_ADMIN"},
		"-bpf,-sys_admin":                    {"CAP_SYS_ADMIN", "CAP_BPF"},
		"-perfmon,-sys_admin":                {"CAP_SYS_ADMIN", "CAP_PERFMON"},
		"-bpf,-net_admin":                    {"CAP_NET_ADMIN"},
		"-all,+net_admin,+bpf,+perfmon":      {"CAP_SYS_ADMIN"},
		"-all,+net_admin,+bpf,+dac_override": {"CAP_SYS_ADMIN", "CAP_PERFMON"},
		"-all":                               {"CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_BPF", "CAP_PERFMON"},
	} {
		t.Run(capabilities, func(t *testing.T) {
			ask := status(t)
			ask.Through = without(capabilities)
			add := l.call(t, "ADD", lab().with("tcHook", "clsact")) // clsact needs more than tcx
			add.Through = ask.Through
			if missing == nil {
				succeed(t, n, ask)
				succeed(t, n, add)
				l.wantRules(t)
				l.succeed(t, "DEL", lab())
				return
			}
			fail(t, n, ask, 50, missing...)
			if run(t, n, add).Refusal == nil {
				t.Error("ADD succeeded all the same")
			}
			l.wantNoPrograms(t)
		})
	}
}

// TestStatusInUserNamespace has all capabilities, but only in a user namespace.
func TestStatusInUserNamespace(t *testing.T) {
	n := node.ForTest(t)
	ask := status(t)
	ask.Through = []string{"unshare", "--user", "--map-root-user"}
	fail(t, n, ask, 50)
}

// TestStatusKnowsBPFFS removes the BPF file system, or makes it unusable.
func TestStatusKnowsBPFFS(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	for name, tt := range map[string]struct {
		preparation string
		parts       []string // of the message; none if STATUS succeeds
	}{
		"there":       {`mount -t bpf bpf /sys/fs/bpf`, nil},
		"not mounted": {`while umount /sys/fs/bpf 2>/dev/null; do :; done`, nil},
		"another":     {`mount -t tmpfs none /sys/fs/bpf`, nil},
		"no folder":   {`mount -t tmpfs none /sys/fs`, []string{"/sys/fs/bpf", "no such file"}},
		"a file":      {`mount -t tmpfs none /sys/fs && touch /sys/fs/bpf`, []string{"/sys/fs/bpf", "not a"}},
		"read-only":   {`mount -t bpf -o ro bpf /sys/fs/bpf`, []string{"/sys/fs/bpf", "read-only"}},
		"foreign": {
			`mount -t bpf bpf /sys/fs/bpf && mkdir -p /sys/fs/bpf/xdp-port/x && chown 1000 /sys/fs/bpf/xdp-port`,
			[]string{"/sys/fs/bpf/xdp-port", "user 1000", "rm -r /sys/fs/bpf/xdp-port", "chmod 0700 /sys/fs/bpf"},
		},
		"open to others": {
			`mount -t bpf bpf /sys/fs/bpf && mkdir -p /sys/fs/bpf/xdp-port/x && chmod 0775 /sys/fs/bpf/xdp-port`,
			[]string{"0775", "chmod 0700 /sys/fs/bpf/xdp-port"},
		},
		"open to others, but empty": {
			`mount -t bpf bpf /sys/fs/bpf && mkdir /sys/fs/bpf/xdp-port && chmod 0777 /sys/fs/bpf/xdp-port`, nil,
		},
		"foreign, but empty": {
			`mount -t bpf bpf /sys/fs/bpf && mkdir /sys/fs/bpf/xdp-port && chown 1000 /sys/fs/bpf/xdp-port`, nil,
		},
		"a link": {
			`mount -t bpf bpf /sys/fs/bpf && ln -s /tmp /sys/fs/bpf/xdp-port`,
			[]string{"/sys/fs/bpf/xdp-port", "is not a folder", "rm -r"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			ask, add := status(t), l.call(t, "ADD", lab())
			ask.Through = inShell(tt.preparation)
			add.Through = ask.Through
			if tt.parts == nil {
				succeed(t, n, ask)
				succeed(t, n, add)
				l.forgetFilters(t)
				l.wantNoPrograms(t) // they have gone with the file system
				return
			}
			fail(t, n, ask, 50, tt.parts...)
			fail(t, n, add, 105, append(tt.parts, "container a", "interface eth0")...)
			l.wantNoPrograms(t)
		})
	}
}

// TestStatusKnowsHiddenState mounts another file system over the state of a running
// container. The old state is invisible then, and a new one would disappear with the file
// system.
func TestStatusKnowsHiddenState(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	running, l := lay(t, n, c, "a", "eth0", 1), lay(t, n, c, "b", "eth1", 2)
	running.succeed(t, "ADD", lab())
	for name, preparation := range map[string]string{
		"bpffs":       `mount -t bpf bpf /sys/fs/bpf`,
		"two":         `mount -t bpf bpf /sys/fs/bpf && mount -t bpf bpf /sys/fs/bpf`,
		"a used one":  `mount -t bpf bpf /sys/fs/bpf && mkdir -m 0700 /sys/fs/bpf/xdp-port`,
		"another":     `mount -t tmpfs none /sys/fs/bpf`,
		"not visible": `umount --lazy /sys && mount -t sysfs ` + filepath.Base(n.NS.Path()) + ` /sys`, // like ip netns exec
	} {
		t.Run(name, func(t *testing.T) {
			ask, add := status(t), l.call(t, "ADD", lab())
			ask.Through = inShell(preparation)
			add.Through = ask.Through
			fail(t, n, ask, 50, "/sys/fs/bpf")
			if name != "a used one" {
				fail(t, n, add, 105, "/sys/fs/bpf")
			}
			l.forgetFilters(t)
			l.wantNoPrograms(t)
		})
	}
	running.wantRules(t)
	running.succeed(t, "CHECK", lab())
	succeed(t, n, status(t))
	l.succeed(t, "ADD", lab())
	l.wantRules(t)
}

// TestStatusKnowsWhatHidesTheState mounts a file system over a parent of the BPF file
// system. The advice must bring back the state.
func TestStatusKnowsWhatHidesTheState(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	running, l := lay(t, n, c, "a", "eth0", 1), lay(t, n, c, "b", "eth1", 2)
	running.succeed(t, "ADD", lab())
	for name, tt := range map[string]struct{ preparation, advice string }{
		"sysfs":            {`mount -t sysfs sysfs /sys`, "umount -R /sys"},
		"sysfs with bpffs": {`mount -t sysfs sysfs /sys && mount -t bpf bpf /sys/fs/bpf`, "umount -R /sys"},
		"tmpfs":            {`mount -t tmpfs none /sys/fs`, "umount -R /sys/fs"},
		"tmpfs with bpffs": {`mount -t tmpfs none /sys/fs && mkdir /sys/fs/bpf && mount -t bpf bpf /sys/fs/bpf`, "umount -R /sys/fs"},
		"both":             {`mount -t bpf bpf /sys/fs/bpf && mount -t sysfs sysfs /sys`, "umount -R /sys && umount /sys/fs/bpf"},
	} {
		t.Run(name, func(t *testing.T) {
			ask, add, check := status(t), l.call(t, "ADD", lab()), running.call(t, "CHECK", lab())
			ask.Through = inShell(tt.preparation)
			add.Through = ask.Through
			fail(t, n, ask, 50, tt.advice)
			fail(t, n, add, 105, tt.advice)
			l.forgetFilters(t)
			l.wantNoPrograms(t)
			ask.Through = inShell(tt.preparation + " && " + tt.advice)
			check.Through = ask.Through
			succeed(t, n, ask)
			succeed(t, n, check)
		})
	}
}

// TestStatusKnowsNetNSExec uses ip-netns(8), which hides the BPF file system and the pins
// of another one that is mounted there.
func TestStatusKnowsNetNSExec(t *testing.T) {
	need.Program(t, "ip")
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	name := filepath.Base(n.NS.Path())
	ask, add := status(t), l.call(t, "ADD", lab())
	ask.Through = []string{"ip", "netns", "exec", name}
	add.Through = ask.Through
	fail(t, n, ask, 50, "ip netns exec", "nsenter --net=/run/netns/"+name)
	fail(t, n, add, 105, "ip netns exec", "nsenter --net=/run/netns/"+name)
	l.wantNoPrograms(t)
	ask.Through = []string{"nsenter", "--net=/run/netns/" + name}
	add.Through = ask.Through
	succeed(t, n, ask)
	succeed(t, n, add)
	l.wantRules(t)
}

// TestStatusKnowsErrors uses a configuration that each ADD would refuse.
func TestStatusKnowsErrors(t *testing.T) {
	n := node.ForTest(t)
	ask := status(t)
	ask.Stdin = lab().without("prevResult").with("rules", []any{rule("protocol", "udp", "port", 70000, "toPort", 1)}).bytes(t)
	fail(t, n, ask, 7, "rules[0].port: 70000 is not a port")
}

// TestStatusKnowsTCX configures each tc hook. If the kernel lacks a hook, the plugin uses
// another, unless the configuration names the hook.
func TestStatusKnowsTCX(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	for _, hook := range []string{"auto", "clsact", "tcx"} {
		configured := lab().with("tcHook", hook)
		ask, add := status(t), l.call(t, "ADD", configured)
		ask.Stdin = configured.without("prevResult").bytes(t)
		if hook == "tcx" && !node.HasTCX(t) {
			fail(t, n, ask, 50, "tcx", "Linux 6.6", `"tcHook"`)
			fail(t, n, add, 103, "tcx", "6.6")
			l.wantNoPrograms(t)
			continue
		}
		succeed(t, n, ask)
		succeed(t, n, add)
		l.wantRules(t)
		l.succeed(t, "DEL", configured)
	}
}

// TestStatusMountsNothing compares the mounts before and after STATUS if a mount is missing.
func TestStatusMountsNothing(t *testing.T) {
	n := node.ForTest(t)
	ask := status(t)
	ask.Through = inMountsThatStay(`while umount /sys/fs/bpf 2>/dev/null; do :; done; `)
	succeed(t, n, ask)
}
