package e2e

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// TestNobodyListens expects ICMP's "port unreachable" to reach the sending socket, although it
// quotes another port than the socket used.
func TestNobodyListens(t *testing.T) {
	node.EachMode(t, func(t *testing.T, mode string) {
		n := node.ForTest(t)
		must(t, n.Conflist(network("bridge", "1.1.0", mode, bothWays())))
		c := attach(t, n, "lab")
		own := addresses(t, c)
		for family := range families {
			t.Run("egress/"+family, func(t *testing.T) {
				wantRefused(t, c.NS, far(family, 7999))
			})
			t.Run("ingress/"+family, func(t *testing.T) {
				wantRefused(t, n.Far, netip.AddrPortFrom(own[family], 80))
			})
		}
	})
}

func wantRefused(t *testing.T, from ns.NetNS, to netip.AddrPort) {
	t.Helper()
	conn, err := node.DialUDP(from, to)
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("anybody there?"))
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(pace.Patience(2*time.Second))))
	if _, err = conn.Read(make([]byte, 100)); !errors.Is(err, unix.ECONNREFUSED) {
		t.Errorf("got %v, want ECONNREFUSED", err)
	}
}

// smallMTU is the MTU of the second hop.
const smallMTU = 1300

// TestPathMTU has a hop with a smaller MTU than the container's link. Only ICMP errors tell
// senders.
func TestPathMTU(t *testing.T) {
	node.EachMode(t, func(t *testing.T, mode string) {
		n := node.ForTest(t)
		must(t, n.SetMTU(smallMTU))
		must(t, n.Conflist(network("bridge", "1.1.0", mode, bothWays())))
		c := attach(t, n, "lab")
		own := addresses(t, c)
		serve(t, n.Far, 7998)
		serve(t, c.NS, 8080)
		for family := range families {
			t.Run("client/"+family, func(t *testing.T) {
				wantLearned(t, c.NS, family, 0, far(family, 7999))
				must(t, node.ExchangeTCP(c.NS, far(family, 7999), pace.Share[int64](10<<20)))
			})
			t.Run("server/"+family, func(t *testing.T) {
				must(t, node.ExchangeTCP(n.Far, netip.AddrPortFrom(own[family], 80), pace.Share[int64](10<<20)))
			})
			t.Run("udp server/"+family, func(t *testing.T) {
				client := askFirst(t, n, c, own[family])
				wantLearned(t, c.NS, family, 8081, client)
			})
		}
	})
}

// askFirst lets a client ask a server in the container at port 81, which the rules rewrite to
// 8081, so that there is a flow. It returns the client's address.
func askFirst(t *testing.T, n *node.Node, c *node.Container, server netip.Addr) netip.AddrPort {
	t.Helper()
	asked, err := node.ListenUDP(c.NS, 8081)
	must(t, err)
	defer asked.Close()
	client, err := node.DialUDP(n.Far, netip.AddrPortFrom(server, 81))
	must(t, err)
	t.Cleanup(func() { client.Close() })
	_, err = client.Write([]byte("a large answer, please"))
	must(t, err)
	must(t, asked.SetReadDeadline(time.Now().Add(pace.Patience(2*time.Second))))
	_, from, err := asked.ReadFromUDPAddrPort(make([]byte, 100))
	must(t, err)
	return netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
}

// wantLearned sends datagrams that are too large and must not be fragmented, until the kernel
// refuses them because of the path's MTU. If port is 0, it chooses the source port.
func wantLearned(t *testing.T, from ns.NetNS, family string, port int, to netip.AddrPort) {
	t.Helper()
	conn := unfragmented(t, from, family, port, to)
	defer conn.Close()
	for deadline := time.Now().Add(pace.Patience(2 * time.Second)); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		_, err := conn.Write(make([]byte, 1400))
		if errors.Is(err, unix.EMSGSIZE) {
			if got := learnedMTU(t, conn, family); got != smallMTU {
				t.Errorf("the path's MTU is %d, should be %d", got, smallMTU)
			}
			return
		}
		must(t, err)
	}
	t.Error("the sender never learned the path's MTU")
}

func unfragmented(t *testing.T, from ns.NetNS, family string, port int, to netip.AddrPort) *net.UDPConn {
	t.Helper()
	var conn *net.UDPConn
	must(t, from.Do(func(ns.NetNS) (err error) {
		conn, err = net.DialUDP("udp", &net.UDPAddr{Port: port}, net.UDPAddrFromAddrPort(to))
		return err
	}))
	setOption(t, conn, func(fd int) error {
		if family == "IPv6" {
			return unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
		}
		return unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
	})
	return conn
}

func learnedMTU(t *testing.T, conn *net.UDPConn, family string) (mtu int) {
	t.Helper()
	setOption(t, conn, func(fd int) (err error) {
		if family == "IPv6" {
			mtu, err = unix.GetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_MTU)
		} else {
			mtu, err = unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU)
		}
		return err
	})
	return mtu
}

func setOption(t *testing.T, conn *net.UDPConn, set func(fd int) error) {
	t.Helper()
	raw, err := conn.SyscallConn()
	must(t, err)
	var failed error
	must(t, raw.Control(func(fd uintptr) { failed = set(int(fd)) }))
	must(t, failed)
}
