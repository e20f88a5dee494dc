package e2e

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/affinity"
	"github.com/xdp-port/xdp-port/test/node"
)

// bandwidth makes the bandwidth plugin send the container's packets through an ifb device.
const bandwidth = `{"bandwidth":{"egressRate":1000000000,"egressBurst":100000000}}`

// TestVMBehindMirred has a pod that gets its packets from a virtual machine through tc mirred, as with Kata
// Containers and Firecracker. Generic XDP does not see them. Its neighbour on the same CPUs makes XDP
// leave hints that tc ingress does not read: with an ifb device of the bandwidth plugin, and with frames
// that the stack drops between XDP and tc.
func TestVMBehindMirred(t *testing.T) {
	shaped := map[string][2]string{"nobody": {"", ""}}
	if node.HasTCX(t) { // the bandwidth plugin is impossible otherwise
		shaped = map[string][2]string{
			"nobody": {"", ""}, "the pod": {bandwidth, ""}, "the neighbour": {"", bandwidth}, "both": {bandwidth, bandwidth},
		}
	}
	node.EachOf(t, []string{"auto", "native", "tc"}, func(t *testing.T, mode string) {
		for who, arguments := range shaped {
			t.Run("bandwidth for "+who, func(t *testing.T) { testVM(t, mode, arguments[0], arguments[1]) })
		}
	})
}

func testVM(t *testing.T, mode, podArguments, neighbourArguments string) {
	n := node.ForTest(t)
	must(t, node.SetTxOffload(n.NS, node.ToFar, false))
	must(t, n.Conflist(vmNetwork(mode)))
	pod := attachWith(t, n, podArguments)
	neighbour := attachWith(t, n, neighbourArguments)
	vm := bootVM(t, n, pod)
	boxes := map[int]*inbox{}
	for _, port := range []int{25, 7998, 5000} {
		boxes[port] = openInbox(t, n.Far, port)
	}
	serveNames(t, n.Far, 5001)
	for family := range families { // this resolves the neighbours
		wantAnswer(t, vm, far(family, 5001), "5001")
		wantAnswer(t, neighbour.NS, far(family, 5001), "5001")
	}
	const each = 50 // datagrams to each port, per family, pinned or not, and sender
	wantNoChecksumErrors(t, n.Far, func() {
		for _, offload := range []bool{true, false} {
			must(t, node.SetTxOffload(vm, "vm0", offload))
			must(t, node.SetTxOffload(neighbour.NS, neighbour.IfName, offload))
			pinned(t, offload, func() { sendBoth(t, vm, neighbour, each) })
		}
	})
	const families, rounds, senders = 2, 2, 2
	boxes[7998].want(t, "port 7998", each*families*rounds*senders)
	boxes[5000].want(t, "port 5000", each*families*rounds*senders)
	boxes[25].want(t, "port 25", 0) // last: late datagrams have arrived by now
	for name, c := range map[string]*node.Container{"pod": pod, "neighbour": neighbour} {
		counters := countersOf(t, n, c)
		for i, rule := range []string{"drop", "rewrite"} {
			if got, want := counters.Rules[i].Packets, uint64(each*families*rounds); got != want {
				t.Errorf("the %s's rule to %s counted %d packets, want %d", name, rule, got, want)
			}
		}
	}
}

func vmNetwork(mode string) map[string]any {
	return map[string]any{"cniVersion": "1.0.0", "name": "lab", "plugins": []any{
		mainPlugin("bridge"),
		map[string]any{"type": "xdp-port", "mode": mode, "rules": []any{
			rule("protocol", "udp", "port", 25, "action", "drop"),
			rule("protocol", "udp", "port", 7999, "toPort", 7998),
		}},
		map[string]any{"type": "bandwidth", "capabilities": map[string]any{"bandwidth": true}},
	}}
}

func attachWith(t *testing.T, n *node.Node, arguments string) *node.Container {
	t.Helper()
	c, err := n.Container()
	must(t, err)
	c.CapArgs = arguments
	_, err = c.Attach("lab")
	must(t, err)
	return c
}

// pinned calls f on one CPU, or on any.
func pinned(t *testing.T, pin bool, f func()) {
	t.Helper()
	if pin {
		leave, err := affinity.Stay()
		must(t, err)
		defer leave()
	}
	f()
}

// sendBoth lets both containers send to each port in turns. In between, the neighbour sends frames that
// end inside a VLAN tag.
func sendBoth(t *testing.T, vm ns.NetNS, neighbour *node.Container, count int) {
	t.Helper()
	cut := frameSender(t, neighbour)
	for _, port := range []uint16{25, 7999, 5000} {
		for family := range families {
			fromVM, err := node.DialUDP(vm, far(family, port))
			must(t, err)
			defer fromVM.Close()
			fromNeighbour, err := node.DialUDP(neighbour.NS, far(family, port))
			must(t, err)
			defer fromNeighbour.Close()
			for i := range count {
				for _, conn := range []*net.UDPConn{fromNeighbour, fromVM} {
					must(t, cut())
					_, err := conn.Write(numbered(i))
					must(t, err)
				}
			}
		}
	}
}

// frameSender returns a function that sends a frame of 16 bytes, which ends inside its VLAN tag.
func frameSender(t *testing.T, c *node.Container) func() error {
	t.Helper()
	fd, to := packetSocket(t, c.NS, c.IfName, 0)
	frame := append([]byte{2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, 0x81, 0, 0, 5)
	return func() error { return unix.Sendto(fd, frame, 0, to) }
}

// packetSocket opens a packet socket on a device, for frames of a protocol in host byte order, or for
// none if that is 0.
func packetSocket(t *testing.T, in ns.NetNS, device string, protocol uint16) (fd int, addr *unix.SockaddrLinklayer) {
	t.Helper()
	must(t, in.Do(func(ns.NetNS) error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		addr = &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index, Protocol: protocol<<8 | protocol>>8}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0); err != nil || protocol == 0 {
			return err
		}
		return unix.Bind(fd, addr)
	}))
	t.Cleanup(func() { unix.Close(fd) })
	return fd, addr
}

// bootVM gives a new namespace the pod's addresses and routes. Two devices connect them, and each
// redirects what it receives to the other.
func bootVM(t *testing.T, n *node.Node, pod *node.Container) ns.NetNS {
	t.Helper()
	vm, err := n.Container()
	must(t, err)
	var eth0 netlink.Link
	own := addresses(t, pod)
	must(t, pod.NS.Do(func(ns.NetNS) (err error) {
		if eth0, err = netlink.LinkByName(pod.IfName); err != nil {
			return err
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "tap0"
		tap := &netlink.Veth{
			LinkAttrs: attrs, PeerName: "vm0", PeerNamespace: netlink.NsFd(int(vm.NS.Fd())),
			PeerHardwareAddr: eth0.Attrs().HardwareAddr,
		}
		if err := errors.Join(flushAddresses(eth0), netlink.LinkAdd(tap), netlink.LinkSetUp(tap)); err != nil {
			return err
		}
		return errors.Join(redirect(eth0, tap), redirect(tap, eth0))
	}))
	must(t, vm.NS.Do(func(ns.NetNS) error { return configureVM(own) }))
	return vm.NS
}

func flushAddresses(link netlink.Link) error {
	found, err := netlinksafe.AddrList(link, netlink.FAMILY_ALL)
	for i := range found {
		err = errors.Join(err, netlink.AddrDel(link, &found[i]))
	}
	return err
}

// redirect makes everything that a device receives leave through another one.
func redirect(from, to netlink.Link) error {
	parent := netlink.MakeHandle(0xffff, 0)
	return errors.Join(
		netlink.QdiscAdd(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: from.Attrs().Index, Parent: netlink.HANDLE_INGRESS, Handle: parent,
		}}),
		netlink.FilterAdd(&netlink.U32{
			FilterAttrs: netlink.FilterAttrs{
				LinkIndex: from.Attrs().Index, Parent: parent, Priority: 1, Protocol: unix.ETH_P_ALL,
			},
			Actions: []netlink.Action{netlink.NewMirredAction(to.Attrs().Index)},
		}))
}

func configureVM(own map[string]netip.Addr) error {
	vm0, err := netlink.LinkByName("vm0")
	if err != nil {
		return err
	}
	for family, bits := range map[string]int{"IPv4": 16, "IPv6": 64} {
		addr, err := netlink.ParseAddr(fmt.Sprintf("%s/%d", own[family], bits))
		if err != nil {
			return err
		}
		addr.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(vm0, addr); err != nil {
			return err
		}
	}
	if err := netlink.LinkSetUp(vm0); err != nil {
		return err
	}
	for _, gateway := range []string{"10.88.0.1", "fd00:88::1"} {
		if err := netlink.RouteAdd(&netlink.Route{LinkIndex: vm0.Attrs().Index, Gw: net.ParseIP(gateway)}); err != nil {
			return fmt.Errorf("route by %s: %w", gateway, err)
		}
	}
	return nil
}
