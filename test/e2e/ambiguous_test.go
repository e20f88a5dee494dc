package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
	"github.com/xdp-port/xdp-port/test/packet"
)

// ambiguousPackets is the number of packets in a test, each from another port.
var ambiguousPackets = pace.Share(200)

// TestAmbiguousChecksums sends packets with a complete checksum that equals the pseudo-header's
// sum, as a partial checksum does. It also sends packets with a partial checksum and the same
// bytes. Only the skb distinguishes them.
func TestAmbiguousChecksums(t *testing.T) {
	node.EachMode(t, func(t *testing.T, mode string) {
		n := node.ForTest(t)
		must(t, node.SetTxOffload(n.NS, node.ToFar, false))
		must(t, n.Conflist(network("bridge", "1.1.0", mode, tutorial())))
		c := attach(t, n, "lab")
		own := addresses(t, c)
		serve(t, n.Far, 7998)
		for family := range families {
			template := packet.Packet{Source: own[family], Destination: far(family, 7999).Addr()}
			t.Run("UDP complete/"+family, func(t *testing.T) { testAmbiguousUDP(t, n, c, template) })
			t.Run("UDP partial/"+family, func(t *testing.T) { testPartialUDP(t, c, template) })
			t.Run("TCP complete/"+family, func(t *testing.T) { testAmbiguousTCP(t, n, c, template) })
		}
	})
}

func ambiguousUDP(template packet.Packet, source uint16) packet.Packet {
	template.Load = packet.UDP{
		Source: source, Destination: 7999, Payload: node.Payload(2+int(source)%1000, uint64(source)),
	}
	return template.Ambiguous()
}

// testAmbiguousUDP injects packets with a complete checksum and expects an answer to each.
func testAmbiguousUDP(t *testing.T, n *node.Node, c *node.Container, template packet.Packet) {
	inject := injector(t, n, c, template.Source)
	for i := range ambiguousPackets {
		p := ambiguousUDP(template, uint16(20000+i))
		answers := socketAt(t, c, p)
		inject(p)
		wantAnswerTo(t, answers, p)
		answers.Close()
	}
}

// testPartialUDP sends the same packets from sockets, with a partial checksum.
func testPartialUDP(t *testing.T, c *node.Container, template packet.Packet) {
	for i := range ambiguousPackets {
		p := ambiguousUDP(template, uint16(30000+i))
		conn := socketAt(t, c, p)
		_, err := conn.Write(p.Load.(packet.UDP).Payload)
		must(t, err)
		wantAnswerTo(t, conn, p)
		conn.Close()
	}
}

// socketAt opens a socket with the packet's source address and port.
func socketAt(t *testing.T, c *node.Container, p packet.Packet) (conn *net.UDPConn) {
	t.Helper()
	source, destination := p.Ports()
	must(t, c.NS.Do(func(ns.NetNS) (err error) {
		conn, err = net.DialUDP("udp",
			net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.Source, source)),
			net.UDPAddrFromAddrPort(netip.AddrPortFrom(p.Destination, destination)))
		return err
	}))
	return conn
}

func wantAnswerTo(t *testing.T, conn *net.UDPConn, p packet.Packet) {
	t.Helper()
	must(t, conn.SetReadDeadline(time.Now().Add(pace.Patience(2*time.Second))))
	answer := make([]byte, 2000)
	length, err := conn.Read(answer)
	if err != nil {
		t.Fatalf("no answer to %x: %v", p.Bytes(), err)
	}
	if want := p.Load.(packet.UDP).Payload; string(answer[:length]) != string(want) {
		t.Fatalf("the answer to %x is another one: %x", p.Bytes(), answer[:length])
	}
}

// flagSYN is a segment's flag, RFC 9293 section 3.1.
const flagSYN = 2

// testAmbiguousTCP injects SYNs. A listener answers them only if their checksum is correct
// when they arrive.
func testAmbiguousTCP(t *testing.T, n *node.Node, c *node.Container, template packet.Packet) {
	inject := injector(t, n, c, template.Source)
	before := countersOf(t, n, c).RepliesRestored
	for i := range ambiguousPackets {
		p := template
		p.Load = packet.TCP{
			Source: uint16(40000 + i), Destination: 7999, Flags: flagSYN, Payload: []byte{0, 0},
		}
		inject(p.Ambiguous())
	}
	var answered uint64
	for deadline := time.Now().Add(pace.Patience(3 * time.Second)); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if answered = countersOf(t, n, c).RepliesRestored - before; answered >= uint64(ambiguousPackets) {
			return
		}
	}
	t.Errorf("%d of %d SYNs were answered", answered, ambiguousPackets)
}

// injector returns a function that sends packets unchanged from the container's interface to
// its gateway.
func injector(t *testing.T, n *node.Node, c *node.Container, source netip.Addr) func(packet.Packet) {
	t.Helper()
	gateway := hardwareAddr(t, n.NS, "cni0")
	var fd int
	var to unix.SockaddrLinklayer
	must(t, c.NS.Do(func(ns.NetNS) error {
		device, err := netlink.LinkByName(c.IfName)
		if err != nil {
			return err
		}
		to = unix.SockaddrLinklayer{Ifindex: device.Attrs().Index, Halen: 6}
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
		return err
	}))
	t.Cleanup(func() { unix.Close(fd) })
	own := hardwareAddr(t, c.NS, c.IfName)
	return func(p packet.Packet) {
		frame := p.Bytes()
		copy(frame[0:6], gateway)
		copy(frame[6:12], own)
		if err := unix.Sendto(fd, frame, 0, &to); err != nil {
			t.Fatal(fmt.Errorf("inject a packet of %s: %w", source, err))
		}
	}
}

func hardwareAddr(t *testing.T, in ns.NetNS, device string) (addr net.HardwareAddr) {
	t.Helper()
	must(t, in.Do(func(ns.NetNS) error {
		link, err := netlink.LinkByName(device)
		if err == nil {
			addr = link.Attrs().HardwareAddr
		}
		return err
	}))
	return addr
}
