package conformance

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/affinity"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// In these tests a foreign program ends the chain of a tc hook, before or after ours. The
// rules are for UDP: they rewrite 7999 to 7998 and drop 25 in both directions.
var (
	rewriting   = rule("protocol", "udp", "port", 7999, "toPort", 7998)
	droppingOut = rule("protocol", "udp", "port", 25, "action", "drop", "name", "none-out")
	droppingIn  = rule("direction", "ingress", "protocol", "udp", "port", 25, "action", "drop", "name", "none-in")
)

// parents are the sides of clsact, by name.
var parents = map[string]uint32{"ingress": netlink.HANDLE_MIN_INGRESS, "egress": netlink.HANDLE_MIN_EGRESS}

// tcOK ends the chain, at clsact and at tcx.
const tcOK = 0

// addFilter adds a foreign clsact filter that ends the chain. The returned function
// removes it.
func (l *line) addFilter(t *testing.T, side string, priority, protocol uint16) (remove func()) {
	t.Helper()
	program := foreign(t, ebpf.SchedCLS, tcOK)
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{Parent: parents[side], Handle: 1, Priority: priority, Protocol: protocol},
		Fd:          program.FD(), Name: "stranger", DirectAction: true,
	}
	l.onHost(t, func(device netlink.Link) error {
		filter.LinkIndex = device.Attrs().Index
		_ = netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: filter.LinkIndex, Parent: netlink.HANDLE_CLSACT, Handle: netlink.MakeHandle(0xffff, 0),
		}}) // the qdisc may exist
		return netlink.FilterAdd(filter)
	})
	return func() {
		t.Helper()
		l.onHost(t, func(netlink.Link) error { return netlink.FilterDel(filter) })
	}
}

// addTCX puts a foreign program that ends the chain at the head of tcx.
func (l *line) addTCX(t *testing.T, side string) {
	t.Helper()
	at := map[string]ebpf.AttachType{"ingress": ebpf.AttachTCXIngress, "egress": ebpf.AttachTCXEgress}[side]
	var attached link.Link
	l.onHost(t, func(device netlink.Link) (err error) {
		attached, err = link.AttachTCX(link.TCXOptions{
			Interface: device.Attrs().Index, Program: foreign(t, ebpf.SchedCLS, tcOK), Attach: at, Anchor: link.Head(),
		})
		return err
	})
	t.Cleanup(func() { attached.Close() })
}

// lets reports whether a datagram to port 25 arrives. A datagram to a port without a rule
// follows it, so that lets need not wait.
func lets(t *testing.T, from, to ns.NetNS, address netip.Addr) bool {
	t.Helper()
	stay(t)
	const follower = 9000
	target, err := node.ListenUDP(to, 25)
	must(t, err)
	defer target.Close()
	last, err := node.ListenUDP(to, follower)
	must(t, err)
	defer last.Close()
	sender, err := node.ListenUDP(from, 0)
	must(t, err)
	defer sender.Close()
	for _, port := range []uint16{25, follower} {
		_, err := sender.WriteToUDPAddrPort([]byte("datagram"), netip.AddrPortFrom(address, port))
		must(t, err)
	}
	must(t, last.SetReadDeadline(time.Now().Add(pace.Patience(2*time.Second))))
	_, err = last.Read(make([]byte, 100))
	must(t, err)
	raw, err := target.SyscallConn()
	must(t, err)
	came := false
	must(t, raw.Read(func(fd uintptr) bool {
		_, _, err := unix.Recvfrom(int(fd), make([]byte, 100), unix.MSG_DONTWAIT)
		came = err == nil
		return true
	}))
	return came
}

// stay keeps the sender on its CPU, and thereby its packets in order.
func stay(t *testing.T) {
	t.Helper()
	leave, err := affinity.Stay()
	must(t, err)
	t.Cleanup(leave)
}

// letsOut and letsIn report whether the dropping rules have no effect.
func (l *line) letsOut(t *testing.T) bool {
	t.Helper()
	return lets(t, l.container.NS, l.node.NS, l.address(1))
}

func (l *line) letsIn(t *testing.T) bool {
	t.Helper()
	return lets(t, l.node.NS, l.container.NS, l.address(2))
}

// exchange sends a datagram to port 7999. It returns the port where it arrives and the
// source port of the answer.
func (l *line) exchange(t *testing.T) (arrivedAt string, answeredFrom uint16) {
	t.Helper()
	conn, err := node.ListenUDP(l.container.NS, 0)
	must(t, err)
	defer conn.Close()
	_, err = conn.WriteToUDPAddrPort([]byte("where?"), netip.AddrPortFrom(l.address(1), 7999))
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(pace.Patience(2*time.Second))))
	answer := make([]byte, 100)
	n, from, err := conn.ReadFromUDPAddrPort(answer)
	must(t, err)
	return string(answer[:n]), from.Port()
}

// wantExchange expects packets to 7999 to arrive at one port, and their answers to come
// from the other.
func (l *line) wantExchange(t *testing.T, arrivedAt string, answeredFrom uint16) {
	t.Helper()
	if at, from := l.exchange(t); at != arrivedAt || from != answeredFrom {
		t.Errorf("a datagram to 7999 arrives at %s and is answered from %d, should be %s and %d", at, from, arrivedAt, answeredFrom)
	}
}

// wantAllRules expects all three rules to be in force.
func (l *line) wantAllRules(t *testing.T) {
	t.Helper()
	l.wantExchange(t, "7998", 7999)
	if l.letsOut(t) || l.letsIn(t) {
		t.Error("datagrams to 25 are not dropped")
	}
}

// addWarned runs ADD, which must succeed, and returns its stderr.
func (l *line) addWarned(t *testing.T, c config) string {
	t.Helper()
	answer, err := l.node.Call(l.call(t, "ADD", c))
	must(t, err)
	if answer.Refusal != nil {
		t.Fatalf("ADD failed: %s", answer.Refusal)
	}
	return string(answer.Stderr)
}

func wantParts(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q lacks %q", text, part)
		}
	}
}

// noPlaceAhead is a protocol of filters. Ours cannot use their priority.
const noPlaceAhead = unix.ETH_P_IP

// TestForeignFilterBeforeADD puts a filter that ends the chain at priority 1, so that
// ours cannot precede it. It runs ADD with each kind of rule.
func TestForeignFilterBeforeADD(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	for _, mode := range []string{"auto", "tc"} {
		for side := range parents {
			t.Run(mode+"/"+side, func(t *testing.T) {
				l := lay(t, n, c, "a", "eth0", 1)
				defer l.remove(t)
				remove := l.addFilter(t, side, 1, noPlaceAhead)
				isIn := side == "ingress" // from the container
				names := []string{"host1", "tc " + side, "stranger", "foreign", "priority 1", "id "}
				with := func(rule any) config { return lab().with("mode", mode, "tcHook", "clsact", "rules", []any{rule}) }

				rewrites := with(rewriting)
				log := filepath.Join(t.TempDir(), "log")
				wantParts(t, l.addWarned(t, rewrites.with("log", log)), append(names, "warning", "container a")...)
				logged, err := os.ReadFile(log)
				must(t, err)
				wantParts(t, string(logged), append(names[:4:4], `"level":"WARN"`, `"problem"`)...)
				fail(t, n, l.call(t, "CHECK", rewrites), 100, names...)
				wantParts(t, l.addWarned(t, rewrites), append(names, "warning")...)
				switch {
				case !isIn:
					l.wantExchange(t, "7998", 7998) // connected sockets get no answer
				case mode == "tc":
					l.wantExchange(t, "7999", 7999)
				default:
					l.wantExchange(t, "7998", 7999) // by XDP
				}
				remove()
				l.succeed(t, "CHECK", rewrites)
				l.wantRules(t)
				l.succeed(t, "DEL", rewrites)
				l.wantNoPrograms(t)
				l.addFilter(t, side, 1, noPlaceAhead)

				dropsOut := with(droppingOut)
				switch {
				case !isIn: // nothing of ours is there
					l.succeed(t, "ADD", dropsOut)
					l.succeed(t, "CHECK", dropsOut)
				case mode == "tc":
					fail(t, n, l.call(t, "ADD", dropsOut), 104, append(names, "none-out", "container a")...)
					l.wantOnlyStranger(t)
				default: // XDP drops, but may not see all
					wantParts(t, l.addWarned(t, dropsOut), append(names, "warning")...)
					fail(t, n, l.call(t, "CHECK", dropsOut), 100, names...)
				}
				if got, want := l.letsOut(t), isIn && mode == "tc"; got != want {
					t.Errorf("datagrams from the container pass: %t, should be %t", got, want)
				}
				l.succeed(t, "DEL", dropsOut)

				dropsIn := with(droppingIn)
				if isIn {
					l.succeed(t, "ADD", dropsIn)
					l.succeed(t, "CHECK", dropsIn)
				} else {
					fail(t, n, l.call(t, "ADD", dropsIn), 104, append(names, "none-in", "container a")...)
					l.wantOnlyStranger(t)
				}
				if got := l.letsIn(t); got == isIn {
					t.Errorf("datagrams to the container pass: %t", got)
				}
				l.succeed(t, "DEL", dropsIn)
			})
		}
	}
}

// wantOnlyStranger expects only the foreign program on the device.
func (l *line) wantOnlyStranger(t *testing.T) {
	t.Helper()
	if left := l.programs(t); len(left) != 1 {
		t.Errorf("there are the programs %v, should be one", left)
	}
}

// TestForeignProgramAfterADD puts a program that ends the chain ahead of ours. CHECK must
// name it. ADD must put ours first again. If it cannot, it must refuse, because rules that
// drop would not be enforced.
func TestForeignProgramAfterADD(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	for kind, protocol := range map[string]uint16{"tcx": 0, "clsact": unix.ETH_P_ALL, "clsact, no place ahead": noPlaceAhead} {
		hook, _, _ := strings.Cut(kind, ",")
		for _, mode := range []string{"auto", "tc"} {
			for side := range parents {
				t.Run(kind+"/"+mode+"/"+side, func(t *testing.T) {
					if hook == "tcx" {
						node.NeedTCX(t)
					}
					l := lay(t, n, c, "a", "eth0", 1)
					defer l.remove(t)
					configured := lab().with("mode", mode, "tcHook", hook, "rules", []any{rewriting, droppingOut, droppingIn})
					l.succeed(t, "ADD", configured)
					l.succeed(t, "CHECK", configured)
					l.wantAllRules(t)

					names := []string{"host1", "tc " + side, "foreign", "id "}
					remove := func() {}
					if hook == "tcx" {
						l.addTCX(t, side)
					} else {
						names = append(names, "stranger", "priority 1")
						remove = l.addFilter(t, side, 1, protocol)
					}
					fail(t, n, l.call(t, "CHECK", configured), 100, append(names, "container a")...)
					if out, in := l.letsOut(t), l.letsIn(t); out != (side == "ingress" && mode == "tc") || in != (side == "egress") {
						t.Errorf("datagrams to port 25 pass: %t from the container, %t to it", out, in)
					}
					if protocol == noPlaceAhead {
						fail(t, n, l.call(t, "ADD", configured), 104, names...)
						fail(t, n, l.call(t, "ADD", configured.with("flows", 2048)), 104, names...)
						fail(t, n, l.call(t, "CHECK", configured), 100, names...)
						remove()
					} else {
						l.succeed(t, "ADD", configured)
					}
					l.succeed(t, "CHECK", configured)
					l.wantAllRules(t)
					l.succeed(t, "DEL", configured)
				})
			}
		}
	}
}

// TestAheadOfForeignPrograms puts programs that end the chain where ours can precede
// them, or where no packet of a rule reaches them. Nothing must be reported, and all
// rules must be in force.
func TestAheadOfForeignPrograms(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	tests := map[string]struct {
		hook string
		add  func(*testing.T, *line, string)
	}{
		"priority 1": {"clsact", func(t *testing.T, l *line, side string) { l.addFilter(t, side, 1, unix.ETH_P_ALL) }},
		"priority 2": {"clsact", func(t *testing.T, l *line, side string) { l.addFilter(t, side, 2, unix.ETH_P_ALL) }},
		"priority 2 of another protocol": {"clsact", func(t *testing.T, l *line, side string) {
			l.addFilter(t, side, 2, unix.ETH_P_IP)
		}},
		"priorities 1 for ARP, 2 and 7": {"clsact", func(t *testing.T, l *line, side string) {
			l.addFilter(t, side, 1, unix.ETH_P_ARP)
			l.addFilter(t, side, 7, unix.ETH_P_ALL)
			l.addFilter(t, side, 2, unix.ETH_P_ARP)
		}},
		"head of tcx": {"tcx", func(t *testing.T, l *line, side string) { l.addTCX(t, side) }},
		"clsact behind tcx": {"tcx", func(t *testing.T, l *line, side string) {
			l.addFilter(t, side, 1, unix.ETH_P_ALL)
		}},
	}
	for name, tt := range tests {
		for _, mode := range []string{"auto", "tc"} {
			t.Run(name+"/"+mode, func(t *testing.T) {
				if tt.hook == "tcx" {
					node.NeedTCX(t)
				}
				l := lay(t, n, c, "a", "eth0", 1)
				defer l.remove(t)
				for side := range parents {
					tt.add(t, l, side)
				}
				theirs := l.programs(t)
				configured := lab().with("mode", mode, "tcHook", tt.hook, "rules", []any{rewriting, droppingOut, droppingIn})
				l.succeed(t, "ADD", configured)
				l.succeed(t, "CHECK", configured)
				l.wantAllRules(t)
				other := configured.with("flows", 2048)
				l.succeed(t, "ADD", other)
				l.succeed(t, "CHECK", other)
				l.wantAllRules(t)
				l.succeed(t, "DEL", other)
				for deadline := time.Now().Add(pace.Patience(5 * time.Second)); ; time.Sleep(10 * time.Millisecond) {
					left := l.programs(t)
					if fmt.Sprint(left) == fmt.Sprint(theirs) {
						break
					}
					if time.Now().After(deadline) {
						t.Fatalf("the programs %v are left, should be %v", left, theirs)
					}
				}
			})
		}
	}
}

// TestForeignTCXAheadOfClsact configures clsact, which runs after all tcx programs.
func TestForeignTCXAheadOfClsact(t *testing.T) {
	node.NeedTCX(t)
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	l.addTCX(t, "egress")
	configured := lab().with("tcHook", "clsact", "rules", []any{rewriting, droppingIn})
	fail(t, n, l.call(t, "ADD", configured), 104, "tcx", "foreign", `"tcHook"`, "none-in")
	l.wantOnlyStranger(t)
	rewrites := configured.with("rules", []any{rewriting})
	wantParts(t, l.addWarned(t, rewrites), "tcx", "foreign", `"tcHook"`)
	// The advice of the message helps.
	anyHook := configured.with("tcHook", "auto")
	l.succeed(t, "ADD", anyHook)
	l.succeed(t, "CHECK", anyHook)
	l.wantExchange(t, "7998", 7999)
	if l.letsIn(t) {
		t.Error("datagrams to the container are not dropped")
	}
	// The attachment stays if the new one is impossible.
	fail(t, n, l.call(t, "ADD", configured), 104, "tcx", "foreign")
	l.succeed(t, "CHECK", anyHook)
	l.wantExchange(t, "7998", 7999)
	l.succeed(t, "DEL", anyHook)
}

// TestOwnProgramsThatGoAreNotForeign runs ADD with clsact right after DEL, while the
// kernel has not yet detached our tcx program.
func TestOwnProgramsThatGoAreNotForeign(t *testing.T) {
	node.NeedTCX(t)
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	configured := lab().with("mode", "tc", "tcHook", "tcx", "rules", []any{rewriting, droppingOut, droppingIn})
	l.succeed(t, "ADD", configured)
	held, err := link.LoadPinnedLink(filepath.Join(l.folder(t), "tc_egress"), nil)
	must(t, err)
	l.succeed(t, "DEL", configured)
	if left := l.programs(t); len(left) == 0 {
		t.Error("nothing is left to be taken for foreign")
	}
	time.AfterFunc(700*time.Millisecond, func() { held.Close() })
	configured = configured.with("tcHook", "clsact")
	l.succeed(t, "ADD", configured)
	l.succeed(t, "CHECK", configured)
	l.wantAllRules(t)
	l.succeed(t, "DEL", configured)
	l.wantNoPrograms(t)
}
