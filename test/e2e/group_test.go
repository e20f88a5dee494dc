package e2e

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// TestAnswersToGroups sends requests to a broadcast address and to groups. They are rewritten like
// others. Their answers come from a unicast address and so belong to no flow, as in nf_conntrack:
// they keep their port.
func TestAnswersToGroups(t *testing.T) {
	for _, mode := range []string{"auto", "tc"} {
		t.Run(mode, func(t *testing.T) {
			n := node.ForTest(t)
			must(t, n.Conflist(network("bridge", "1.1.0", mode, []any{
				rule("protocol", "udp", "port", 7999, "toPort", 7998),
				rule("direction", "ingress", "protocol", "udp", "port", 80, "toPort", 8080),
			})))
			c := attach(t, n, "lab")
			for name, group := range map[string]string{
				"broadcast": "10.88.255.255", "IPv4": "224.0.0.251", "IPv6": "ff02::fb",
			} {
				t.Run(name, func(t *testing.T) {
					from := ask(t, c.NS, c.IfName, netip.MustParseAddr(group), 7999, func() *net.UDPConn {
						return listenTo(t, n.NS, "cni0", group, 7998)
					})
					if from.Port() != 7998 || from.Addr().Unmap().IsMulticast() {
						t.Errorf("the answer comes from %s, should come from a unicast address and port 7998", from)
					}
				})
				if name == "broadcast" {
					continue // a container may not answer these itself
				}
				t.Run(name+" into the container", func(t *testing.T) {
					from := ask(t, n.NS, "cni0", netip.MustParseAddr(group), 80, func() *net.UDPConn {
						return listenTo(t, c.NS, c.IfName, group, 8080)
					})
					if from.Port() != 8080 {
						t.Errorf("the answer comes from %s, should come from port 8080", from)
					}
				})
			}
			// Flows of groups must not block others.
			serve(t, n.NS, 7998)
			must(t, node.ExchangeUDP(c.NS, netip.MustParseAddrPort("10.88.0.1:7999"), node.Sizes(10, 0, 1000)))
		})
	}
}

// listenTo opens a socket that receives datagrams to a port of a group or of the broadcast
// address.
func listenTo(t *testing.T, in ns.NetNS, device, group string, port int) (conn *net.UDPConn) {
	t.Helper()
	address := net.ParseIP(group)
	if !address.IsMulticast() {
		conn, err := node.ListenUDP(in, port)
		must(t, err)
		return conn
	}
	must(t, in.Do(func(ns.NetNS) error {
		at, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		conn, err = net.ListenMulticastUDP("udp", at, &net.UDPAddr{IP: address, Port: port})
		return err
	}))
	return conn
}

// ask sends a request out of a device, lets a server answer it, and returns the source of the
// answer.
func ask(t *testing.T, in ns.NetNS, device string, group netip.Addr, port uint16, listen func() *net.UDPConn) netip.AddrPort {
	t.Helper()
	server := listen()
	defer server.Close()
	go func() {
		request := make([]byte, 100)
		for {
			n, from, err := server.ReadFromUDPAddrPort(request)
			if err != nil {
				return
			}
			_, _ = server.WriteToUDPAddrPort(request[:n], from)
		}
	}()
	client := askerOn(t, in, device, group)
	defer client.Close()
	to := netip.AddrPortFrom(group, port)
	if group.Is6() {
		must(t, in.Do(func(ns.NetNS) error {
			at, err := net.InterfaceByName(device)
			if err == nil {
				to = netip.AddrPortFrom(group.WithZone(fmt.Sprint(at.Index)), port)
			}
			return err
		}))
	}
	deadline := time.Now().Add(pace.Patience(10 * time.Second))
	answer := make([]byte, 100)
	for {
		_, err := client.WriteToUDPAddrPort([]byte("who is there?"), to)
		must(t, err)
		must(t, client.SetReadDeadline(time.Now().Add(200*time.Millisecond))) // an address may not be ready yet
		_, from, err := client.ReadFromUDPAddrPort(answer)
		if err == nil {
			return from
		}
		if time.Now().After(deadline) {
			t.Fatalf("nobody answers a request to %s: %v", to, err)
		}
	}
}

// askerOn opens a socket. Its IPv4 packets to groups leave through the device of its address.
func askerOn(t *testing.T, in ns.NetNS, device string, group netip.Addr) (conn *net.UDPConn) {
	t.Helper()
	must(t, in.Do(func(ns.NetNS) error {
		if group.Is6() {
			var err error
			conn, err = net.ListenUDP("udp6", nil)
			return err
		}
		at, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		addresses, err := at.Addrs()
		if err != nil {
			return err
		}
		conn, err = net.ListenUDP("udp4", &net.UDPAddr{IP: addresses[0].(*net.IPNet).IP})
		return err
	}))
	return conn
}
