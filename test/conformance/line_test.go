package conformance

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// line is an interface of a container, and an address on its host side. No CNI plugin
// made it, so that a test can choose its names.
type line struct {
	node      *node.Node
	container *node.Container
	id        string // of the container
	ifname    string
	number    int // distinguishes the lines of a node
}

// answering makes a node. Its servers answer with the port that a packet arrived at.
func answering(t *testing.T) *node.Node {
	t.Helper()
	n := node.ForTest(t)
	for _, port := range []int{7997, 7998, 7999} {
		server, err := node.UDPName(n.NS, port)
		must(t, err)
		t.Cleanup(func() { server.Close() })
	}
	return n
}

// lay gives the container an interface.
func lay(t *testing.T, n *node.Node, c *node.Container, id, ifname string, number int) *line {
	t.Helper()
	l := &line{node: n, container: c, id: id, ifname: ifname, number: number}
	l.make(t, 0)
	return l
}

// make makes the veth pair. If index is 0, the kernel chooses the index of the host side.
func (l *line) make(t *testing.T, index int) {
	t.Helper()
	must(t, l.node.NS.Do(func(ns.NetNS) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = l.host(), index
		if err := netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: l.ifname, PeerNamespace: netlink.NsFd(int(l.container.NS.Fd())),
		}); err != nil {
			return fmt.Errorf("make the interface %q: %w", l.ifname, err)
		}
		return l.configure(l.host(), 1)
	}))
	must(t, l.container.NS.Do(func(ns.NetNS) error { return l.configure(l.ifname, 2) }))
}

func (l *line) configure(device string, end byte) error {
	found, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: l.address(end).AsSlice(), Mask: net.CIDRMask(24, 32)}}
	if err := netlink.AddrAdd(found, address); err != nil {
		return err
	}
	return netlink.LinkSetUp(found)
}

func (l *line) host() string { return fmt.Sprintf("host%d", l.number) }

func (l *line) address(end byte) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte(l.number), end})
}

// call returns a call of the plugin for the interface.
func (l *line) call(t *testing.T, operation string, c config) node.Call {
	t.Helper()
	return node.Call{
		Operation: operation, ContainerID: l.id, NetNS: l.container.NS.Path(), IfName: l.ifname, Stdin: c.bytes(t),
	}
}

func (l *line) succeed(t *testing.T, operation string, c config) {
	t.Helper()
	succeed(t, l.node, l.call(t, operation, c))
}

// arrivesAt sends a packet to port 7999 and returns the port where it arrives.
func (l *line) arrivesAt(t *testing.T) string {
	t.Helper()
	conn, err := node.DialUDP(l.container.NS, netip.AddrPortFrom(l.address(1), 7999))
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("where?"))
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(pace.Patience(2*time.Second))))
	answer := make([]byte, 100)
	n, err := conn.Read(answer)
	must(t, err)
	return string(answer[:n])
}

// wantPort expects packets to port 7999 to arrive at a port.
func (l *line) wantPort(t *testing.T, want string) {
	t.Helper()
	if got := l.arrivesAt(t); got != want {
		t.Errorf("interface %q of %s: packets to 7999 arrive at %s, should arrive at %s", l.ifname, l.id, got, want)
	}
}

func (l *line) wantRules(t *testing.T)   { t.Helper(); l.wantPort(t, "7998") }
func (l *line) wantNoRules(t *testing.T) { t.Helper(); l.wantPort(t, "7999") }

// onHost runs f on the node with the host side.
func (l *line) onHost(t *testing.T, f func(netlink.Link) error) {
	t.Helper()
	must(t, l.node.NS.Do(func(ns.NetNS) error {
		device, err := netlink.LinkByName(l.host())
		if err != nil {
			return err
		}
		return f(device)
	}))
}

func (l *line) remove(t *testing.T) {
	t.Helper()
	l.onHost(t, netlink.LinkDel)
}

// forgetFilters re-creates the devices if the kernel has no tcx. There the filters of
// clsact stay when their pins go, until the next ADD.
func (l *line) forgetFilters(t *testing.T) {
	t.Helper()
	if !node.HasTCX(t) {
		l.remove(t)
		l.make(t, 0)
	}
}

// programs returns the IDs of all programs on the host side, and an ID of 0 for each
// further filter and qdisc.
func (l *line) programs(t *testing.T) (ids []ebpf.ProgramID) {
	t.Helper()
	l.onHost(t, func(device netlink.Link) error {
		if xdp := device.Attrs().Xdp; xdp != nil && xdp.Attached {
			ids = append(ids, ebpf.ProgramID(xdp.ProgId))
		}
		attached, err := node.TCPrograms(device)
		ids = append(ids, attached...)
		return err
	})
	return ids
}

// wantNoPrograms waits until the kernel has detached all programs. That takes some time
// for links that are only unpinned.
func (l *line) wantNoPrograms(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(pace.Patience(5 * time.Second)); ; time.Sleep(10 * time.Millisecond) {
		left := l.programs(t)
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the programs %v are still on %s", left, l.host())
		}
	}
}
