package e2e

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// TestBothPortsAtOnce uses the port of a rule and its target at the same time.
func TestBothPortsAtOnce(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(network("bridge", "1.1.0", "auto", tutorial())))
	c := attach(t, n, "lab")
	serve(t, n.Far, 7998)
	for family := range families {
		t.Run(family, func(t *testing.T) {
			ruled, err := node.DialUDP(c.NS, far(family, 7999))
			must(t, err)
			defer ruled.Close()
			direct, err := node.DialUDP(c.NS, far(family, 7998))
			must(t, err)
			defer direct.Close()
			for i := range pace.Share(10_000) {
				conn := []*net.UDPConn{ruled, direct}[i%2]
				must(t, askOn(conn, fmt.Sprint("question ", i)))
			}
		})
	}
	if got := countersOf(t, n, c).PortsMoved; got != 0 {
		t.Errorf("%d source ports were changed, of sockets that have one each", got)
	}
}

// askOn exchanges a datagram on a connected socket, which accepts answers only from the port that
// it sends to.
func askOn(conn *net.UDPConn, question string) error {
	if _, err := conn.Write([]byte(question)); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(pace.Patience(2 * time.Second))); err != nil {
		return err
	}
	answer := make([]byte, 1500)
	n, err := conn.Read(answer)
	if err == nil && !bytes.Equal(answer[:n], []byte(question)) {
		err = fmt.Errorf("asked %q, got %q", question, answer[:n])
	}
	return err
}

// TestOneSocketBothPorts uses both ports from one socket. Answers must come from the port that
// was asked, in any order.
func TestOneSocketBothPorts(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(network("bridge", "1.1.0", "auto", tutorial())))
	c := attach(t, n, "lab")
	serve(t, n.Far, 7998)
	for family := range families {
		t.Run(family, func(t *testing.T) {
			conn, err := node.ListenUDP(c.NS, 0)
			must(t, err)
			defer conn.Close()
			for _, port := range []uint16{7999, 7998, 7998, 7999, 7999} {
				must(t, askFrom(conn, far(family, port)))
			}
		})
	}
	if got := countersOf(t, n, c).PortsMoved; got != 2 {
		t.Errorf("%d source ports were changed, should be one for each family", got)
	}
}

// TestEvictedFlowsHeal makes twenty times as many flows as the table holds, or twice as many on a
// slow machine.
func TestEvictedFlowsHeal(t *testing.T) {
	const ports = 20
	sources := max(pace.Share(1000), 100)
	n := node.ForTest(t)
	list := network("bridge", "1.1.0", "auto", []any{
		rule("protocol", "udp", "port", "7900-7919", "toPort", "8900-8919"),
	})
	list["plugins"].([]any)[1].(map[string]any)["flows"] = 1024
	must(t, n.Conflist(list))
	c := attach(t, n, "lab")
	for i := range ports {
		server, err := node.UDPEcho(n.Far, 8900+i)
		must(t, err)
		defer server.Close()
	}
	conns := make([]*net.UDPConn, sources)
	for i := range conns {
		var err error
		conns[i], err = node.ListenUDP(c.NS, 0)
		must(t, err)
		defer conns[i].Close()
	}
	for round := range 2 {
		for i, conn := range conns {
			for j := range ports {
				to := far("IPv4", uint16(7900+j))
				if err := askFrom(conn, to); err != nil {
					t.Fatalf("round %d, source %d, to %s: %v", round, i, to, err)
				}
			}
		}
	}
	if got := countersOf(t, n, c).RepliesRestored; got != uint64(2*sources*ports) {
		t.Errorf("replies restored: %d, should be %d", got, 2*sources*ports)
	}
}

// askFrom expects an answer from the port that it asks.
func askFrom(conn *net.UDPConn, to netip.AddrPort) error {
	if _, err := conn.WriteToUDPAddrPort([]byte("hello"), to); err != nil {
		return err
	}
	if err := conn.SetReadDeadline(time.Now().Add(pace.Patience(2 * time.Second))); err != nil {
		return err
	}
	_, from, err := conn.ReadFromUDPAddrPort(make([]byte, 100))
	if err == nil && (from.Addr().Unmap() != to.Addr() || from.Port() != to.Port()) {
		err = fmt.Errorf("the answer is from %s", from)
	}
	return err
}
