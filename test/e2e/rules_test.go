package e2e

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// answersFrom returns which of the servers a datagram reaches, or "". They answer with their port.
func answersFrom(t *testing.T, from ns.NetNS, to netip.AddrPort, patience time.Duration) string {
	t.Helper()
	conn, err := node.ListenUDP(from, 0)
	must(t, err)
	defer conn.Close()
	_, err = conn.WriteToUDPAddrPort([]byte("who is there?"), to)
	if err != nil {
		return err.Error()
	}
	must(t, conn.SetReadDeadline(time.Now().Add(pace.Patience(patience))))
	answer := make([]byte, 100)
	n, err := conn.Read(answer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	must(t, err)
	return string(answer[:n])
}

func serveNames(t *testing.T, in ns.NetNS, ports ...int) {
	t.Helper()
	for _, port := range ports {
		server, err := node.UDPName(in, port)
		must(t, err)
		t.Cleanup(func() { server.Close() })
	}
}

func wantAnswer(t *testing.T, from ns.NetNS, to netip.AddrPort, want string) {
	t.Helper()
	patience := 300 * time.Millisecond // for answers that never arrive
	if want != "" {
		patience = 5 * time.Second
	}
	if got := answersFrom(t, from, to, patience); got != want {
		t.Errorf("a datagram to %s reached %q, should reach %q", to, got, want)
	}
}

func TestFirstMatchingRuleDecides(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.AddFarAddresses(4))
	must(t, n.Conflist(network("bridge", "1.1.0", "auto", []any{
		rule("protocol", "udp", "port", 7999, "action", "pass", "cidrs", []string{node.FarAddress(1).String() + "/32"}),
		rule("protocol", "udp", "port", 7999, "action", "drop", "cidrs", []string{node.FarAddress(2).String() + "/32", "fd00:99::/64"}, "name", "never"),
		rule("protocol", "udp", "port", 7999, "toPort", 7997, "cidrs", []string{node.FarAddress(3).String() + "/32"}),
		rule("protocol", "udp", "port", 7999, "toPort", 7998),
		rule("protocol", "udp", "port", 7998, "toPort", 7996),
		rule("protocol", "udp", "port", "8000-8003", "toPort", "7995-7998"),
		rule("protocol", "udp", "port", 7000, "toPort", 7998, "oneWay", true),
		rule("direction", "ingress", "protocol", "udp", "port", 7997, "action", "drop"),
	})))
	c := attach(t, n, "lab")
	serveNames(t, n.Far, 7995, 7996, 7997, 7998, 7999)
	serveNames(t, c.NS, 7997, 7998)
	at := func(i int, port uint16) netip.AddrPort { return netip.AddrPortFrom(node.FarAddress(i), port) }
	wantAnswer(t, c.NS, at(0, 7999), "7998")
	wantAnswer(t, c.NS, at(1, 7999), "7999") // an exception
	wantAnswer(t, c.NS, at(2, 7999), "")     // dropped
	wantAnswer(t, c.NS, far("IPv6", 7999), "")
	wantAnswer(t, c.NS, at(3, 7999), "7997")
	wantAnswer(t, c.NS, at(0, 7998), "7996") // the rewrite above does not cascade
	wantAnswer(t, c.NS, at(0, 8000), "7995")
	wantAnswer(t, c.NS, at(0, 8002), "7997")
	wantAnswer(t, c.NS, at(0, 8003), "7998")
	wantAnswer(t, c.NS, at(0, 7997), "7997") // a rule for ingress only
	wantAnswer(t, c.NS, at(0, 7000), "7998")
	own := addresses(t, c)["IPv4"]
	wantAnswer(t, n.Far, netip.AddrPortFrom(own, 7997), "")
	wantAnswer(t, n.Far, netip.AddrPortFrom(own, 7998), "7998") // rules for egress only
	counters := countersOf(t, n, c)
	if counters.Dropped != 3 || counters.Rules[1].Packets != 2 || counters.Rules[7].Packets != 1 {
		t.Errorf("dropped: %+v, should be 3: 2 by the second rule, 1 by the last", counters)
	}
}

// TestDropTCP expects no connection, not even a refused one.
func TestDropTCP(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(network("bridge", "1.1.0", "auto", []any{
		rule("protocol", "tcp", "port", 25, "action", "drop", "name", "no-smtp"),
		rule("direction", "ingress", "protocol", "tcp", "action", "drop", "cidrs", []string{"10.99.0.0/24"}),
	})))
	c := attach(t, n, "lab")
	serve(t, n.Far, 25)
	serve(t, n.Far, 26)
	wantTimeout(t, c.NS, far("IPv4", 25))
	must(t, node.ConnectTCP(c.NS, far("IPv6", 26), 10))
	if got := countersOf(t, n, c).Rules[0].Packets; got < 1 {
		t.Errorf("the rule dropped %d packets", got)
	}
	// Answers to the container's own connections are ingress, too.
	wantTimeout(t, c.NS, far("IPv4", 26))
}

func wantTimeout(t *testing.T, from ns.NetNS, to netip.AddrPort) {
	t.Helper()
	conn, err := node.DialTCPWithin(from, to, 1500*time.Millisecond) // the kernel sends a second SYN after 1 s
	if err == nil {
		conn.Close()
	}
	var failed net.Error
	if !errors.As(err, &failed) || !failed.Timeout() {
		t.Errorf("connecting to %s: got %v, want a timeout", to, err)
	}
}
