package e2e

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
	"github.com/xdp-port/xdp-port/test/packet"
)

// TestVLANTags expects all modes to agree on the maximum number of tags, in the frame or, as
// VLAN devices send them, with one of them beside it.
func TestVLANTags(t *testing.T) {
	node.EachMode(t, func(t *testing.T, mode string) {
		n := node.ForTest(t)
		must(t, n.Conflist(network("bridge", "1.1.0", mode, tutorial())))
		c := attach(t, n, "lab")
		for tags := range 4 {
			testTagged(t, n, c, tags, 0)
		}
		pushTag(t, c)
		for tags := range 4 {
			testTagged(t, n, c, tags, 1)
		}
	})
}

// testTagged sends packets with tags inside the frame and beside it.
func testTagged(t *testing.T, n *node.Node, c *node.Container, inside, beside int) {
	t.Helper()
	const enough, each = 2, 3
	before := countersOf(t, n, c)
	sendTagged(t, c, inside, each)
	want := uint64(0)
	if inside+beside <= enough {
		want = each
	}
	after := awaitCounters(t, n, c, func(now *datapath.Counters) bool {
		return now.Rewritten-before.Rewritten+now.Passed-before.Passed >= each
	})
	if got := after.Rewritten - before.Rewritten; got != want {
		t.Errorf("%d tags in the frame and %d beside it: %d of %d were rewritten, want %d", inside, beside, got, each, want)
	}
}

// pushTag makes each frame of the container leave with a tag beside it, as a VLAN device does.
func pushTag(t *testing.T, c *node.Container) {
	t.Helper()
	const tag, protocol = 5, 0x0081 // 802.1Q in network byte order
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{
		asm.Mov.Imm(asm.R2, protocol),
		asm.Mov.Imm(asm.R3, tag),
		asm.FnSkbVlanPush.Call(),
		asm.Mov.Imm(asm.R0, 0),
		asm.Return(),
	}})
	must(t, err)
	defer program.Close()
	must(t, c.NS.Do(func(ns.NetNS) error {
		link, err := netlink.LinkByName(c.IfName)
		if err != nil {
			return err
		}
		attrs := netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT}
		return errors.Join(
			netlink.QdiscAdd(&netlink.Clsact{QdiscAttrs: attrs}),
			netlink.FilterAdd(&netlink.BpfFilter{
				FilterAttrs: netlink.FilterAttrs{
					LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_MIN_EGRESS, Protocol: unix.ETH_P_ALL, Priority: 1,
				},
				Fd: program.FD(), Name: "push_tag", DirectAction: true,
			}))
	}))
}

func sendTagged(t *testing.T, c *node.Container, tags, count int) {
	t.Helper()
	p := packet.Packet{
		Source: addresses(t, c)["IPv4"], Destination: netip.MustParseAddr(node.FarIPv4),
		Load: packet.UDP{Source: 4000, Destination: 7999, Payload: []byte("tagged")},
	}
	for i := range tags {
		p.Tags = append(p.Tags, packet.Tag{EtherType: packet.EtherTypeVLAN, ID: uint16(10 + i)})
	}
	fd, to := packetSocket(t, c.NS, c.IfName, 0)
	for range count {
		must(t, unix.Sendto(fd, p.Bytes(), 0, to))
	}
}

// TestSegmentsLeft sends through a waypoint with a segment routing header (RFC 8754). The rules
// leave these packets alone, so the answer is the same as without rules.
func TestSegmentsLeft(t *testing.T) {
	node.EachMode(t, func(t *testing.T, mode string) {
		n := node.ForTest(t)
		must(t, n.Conflist(network("bridge", "1.1.0", mode, []any{
			rule("protocol", "udp", "port", 7999, "toPort", 7998),
			rule("protocol", "udp", "port", 25, "action", "drop"),
		})))
		c := attach(t, n, "lab")
		must(t, errors.Join(acceptSegments(n.NS), acceptSegments(n.Far)))
		serveNames(t, n.Far, 7999, 7998, 25)
		for range 10 {
			wantRoutedAnswer(t, c, 7999, "7999")
		}
		wantRoutedAnswer(t, c, 25, "")
		wantAnswer(t, c.NS, far("IPv6", 7999), "7998")
	})
}

func acceptSegments(in ns.NetNS) error {
	return in.Do(func(ns.NetNS) error {
		links, err := netlinksafe.LinkList()
		if err != nil {
			return err
		}
		names := []string{"all", "default"}
		for _, link := range links {
			names = append(names, link.Attrs().Name)
		}
		for _, name := range names {
			err = errors.Join(err, node.SetSysctl("net/ipv6/conf/"+name+"/seg6_enabled", "1"))
		}
		return err
	})
}

// wantRoutedAnswer sends a datagram with the container's gateway as a waypoint.
func wantRoutedAnswer(t *testing.T, c *node.Container, port uint16, want string) {
	t.Helper()
	waypoint := netip.MustParseAddr("fd00:88::1").As16()
	// struct ipv6_sr_hdr, include/uapi/linux/seg6.h. The kernel moves the destination into the
	// first segment, and the last segment into the destination.
	header := append([]byte{0, 4, 4, 1, 1, 0, 0, 0}, make([]byte, 16)...)
	header = append(header, waypoint[:]...)
	var conn net.Conn
	must(t, c.NS.Do(func(ns.NetNS) (err error) {
		dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) {
				failed = unix.SetsockoptString(int(fd), unix.IPPROTO_IPV6, unix.IPV6_RTHDR, string(header))
			})
			return errors.Join(err, failed)
		}}
		conn, err = dialer.Dial("udp6", far("IPv6", port).String())
		return err
	}))
	defer conn.Close()
	_, err := conn.Write([]byte("who is there?"))
	must(t, err)
	patience := pace.Patience(5 * time.Second)
	if want == "" {
		patience = 300 * time.Millisecond
	}
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))
	answer := make([]byte, 100)
	size, err := conn.Read(answer)
	if got := string(answer[:size]); got != want {
		t.Errorf("a datagram to port %d by a waypoint was answered by %q, %v; want %q", port, got, err, want)
	}
}
