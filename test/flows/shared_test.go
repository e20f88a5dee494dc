package flows

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// pairs are two destination ports that result in the same port.
var pairs = map[string][2]uint16{
	"of a range":             {rangeFirst, rangeLast},
	"rewritten, then direct": {asked, target},
	"direct, then rewritten": {target, asked},
}

// TestTwoConnectionsFromOnePort connects from one source port to two ports that result
// in the same port. Both connections must work.
func TestTwoConnectionsFromOnePort(t *testing.T) {
	inEachWay(t, func(t *testing.T, _ *world, way ends) {
		way.echo(t, target, rangeTarget)
		source := uint16(20000)
		for name, pair := range pairs {
			for _, network := range []string{"tcp", "udp"} {
				for _, from := range []uint16{source, 1000, 400} { // including privileged ones
					source++
					wantBothLive(t, way, network+" "+name, network, from, pair)
				}
			}
		}
	})
}

func wantBothLive(t *testing.T, way ends, what, network string, from uint16, pair [2]uint16) {
	t.Helper()
	var conns []net.Conn
	for _, port := range pair {
		conn, err := way.dial(network, from, port)
		if err != nil {
			t.Errorf("%s, from port %d: %v", what, from, err)
			return
		}
		defer abort(conn)
		conns = append(conns, conn)
		if err := talk(conn, fmt.Sprint("first words to ", port)); err != nil {
			t.Errorf("%s, from port %d: %v", what, from, err)
		}
	}
	for round := range 3 {
		for i, conn := range conns {
			if err := talk(conn, fmt.Sprint("round ", round, " on connection ", i)); err != nil {
				t.Errorf("%s, from port %d: %v", what, from, err)
			}
		}
	}
}

// TestTwoConnectionsThroughIFB adds the bandwidth plugin. It sends the container's
// packets through an ifb device, after which XDP sees them again. Replies with a
// restored source port then look like replies of the other connection.
func TestTwoConnectionsThroughIFB(t *testing.T) {
	node.NeedBandwidth(t)
	for _, mode := range []string{"auto", "tc"} {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, mode, nil, map[string]any{
				"type": "bandwidth", "egressRate": 1_000_000_000, "egressBurst": 100_000_000,
			})
			for name, way := range w.ways() {
				t.Run(name, func(t *testing.T) {
					way.echo(t, target, rangeTarget)
					for what, pair := range pairs {
						for _, network := range []string{"tcp", "udp"} {
							wantBothLive(t, way, network+" "+what, network, 24000+pair[0]-rangeFirst, pair)
						}
					}
				})
			}
		})
	}
}

// abort closes a connection without TIME-WAIT, which frees its port.
func abort(conn net.Conn) {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// TestManyConnectionsFromOnePort connects from one source port to all ports of a range
// that are rewritten to a single port.
func TestManyConnectionsFromOnePort(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			way := newWorld(t, mode, nil).ways()["egress IPv4"]
			way.echo(t, rangeTarget)
			var conns []net.Conn
			for port := uint16(rangeFirst); port <= rangeLast; port++ {
				for _, network := range []string{"tcp", "udp"} {
					conn, err := way.dial(network, 26000, port)
					must(t, err)
					defer abort(conn)
					must(t, talk(conn, fmt.Sprint("hello ", port)))
					conns = append(conns, conn)
				}
			}
			for round := range 2 {
				for i, conn := range conns {
					must(t, talk(conn, fmt.Sprint("round ", round, " on ", i)))
				}
			}
		})
	}
}

// narrow gives a client few source ports to choose from, so that it reuses some.
func narrow(t *testing.T, in ns.NetNS, count int) {
	t.Helper()
	const file = "/proc/sys/net/ipv4/ip_local_port_range"
	must(t, in.Do(func(ns.NetNS) error {
		return os.WriteFile(file, fmt.Appendf(nil, "%d %d", 30000, 30000+count-1), 0o600)
	}))
}

// TestRandomConnections connects to a rewritten port, and probes the target port from
// the same address at the same time. Users behind SNAT and the kubelet on the node do
// so.
func TestRandomConnections(t *testing.T) {
	connections := pace.Share(400)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, mode, nil)
			way := w.ways()["ingress IPv4"]
			narrow(t, way.client, 2*connections)
			way.echo(t, target)
			var live []net.Conn
			for i := range connections {
				conn, err := way.dial("tcp", 0, asked)
				must(t, err)
				defer abort(conn)
				live = append(live, conn)
				must(t, talk(conn, fmt.Sprint("hello ", i)))
				probe, err := way.dial("tcp", 0, target)
				if err != nil {
					t.Errorf("probe %d: %v", i, err)
					continue
				}
				if err := talk(probe, "are you there?"); err != nil {
					t.Errorf("probe %d: %v", i, err)
				}
				abort(probe)
			}
			for i, conn := range live {
				if err := talk(conn, fmt.Sprint("still there ", i)); err != nil {
					t.Errorf("connection %d: %v", i, err)
				}
			}
		})
	}
}

// TestRandomConnectionsToRange connects to random ports of a range that are rewritten to a
// single port.
func TestRandomConnectionsToRange(t *testing.T) {
	connections, sockets := pace.Share(800), pace.Share(2000)
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, mode, nil)
			way := w.ways()["egress IPv4"]
			narrow(t, way.client, connections)
			way.echo(t, rangeTarget)
			wantAllLive(t, way, "tcp", connections)
			wantAllLive(t, way, "udp", sockets)
		})
	}
}

// wantAllLive opens count connections from random source ports to random ports of the
// range, and talks on all of them.
func wantAllLive(t *testing.T, way ends, network string, count int) {
	t.Helper()
	used := map[[2]uint16]bool{}
	var conns []net.Conn
	for len(conns) < count {
		from, to := 30000+uint16(rand.IntN(count/2)), rangeFirst+uint16(rand.IntN(rangeLast-rangeFirst+1))
		if used[[2]uint16{from, to}] {
			continue
		}
		used[[2]uint16{from, to}] = true
		conn, err := way.dial(network, from, to)
		must(t, err)
		defer abort(conn)
		conns = append(conns, conn)
		if network == "tcp" { // the first words over UDP follow below
			must(t, talk(conn, fmt.Sprint("hello from ", from, " to ", to)))
		}
	}
	for round := range 2 {
		for i, conn := range conns {
			if err := talk(conn, fmt.Sprint(network, " ", i, " in round ", round)); err != nil {
				t.Fatalf("%s, connection %d of %d: %v", network, i, count, err)
			}
		}
	}
}

// TestReplaceRulesUnderTranslatedConnections replaces rules, and changes the mode and
// back, while connections share a source port.
func TestReplaceRulesUnderTranslatedConnections(t *testing.T) {
	for _, mode := range modes[:3] {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, mode, nil)
			for name, way := range w.ways() {
				t.Run(name, func(t *testing.T) {
					way.echo(t, target, rangeTarget)
					replaceUnder(t, w, way)
				})
			}
		})
	}
}

func replaceUnder(t *testing.T, w *world, way ends) {
	t.Helper()
	var conns []net.Conn
	for _, pair := range pairs {
		for _, network := range []string{"tcp", "udp"} {
			for _, port := range pair {
				conn, err := way.dial(network, 21000+pair[0]-rangeFirst, port)
				must(t, err)
				defer abort(conn)
				must(t, talk(conn, "before"))
				conns = append(conns, conn)
			}
		}
	}
	mode := w.config["mode"]
	other := "tc"
	if mode == other {
		other = "generic"
	}
	for round, mode := range []any{mode, mode, other, mode} {
		w.config["mode"] = mode
		w.config["rules"] = append(ruleList(), map[string]any{"protocol": "udp", "port": unrelated + round, "action": "drop"})
		w.apply(w.container)
		for _, conn := range conns {
			if err := talk(conn, fmt.Sprint("after exchange ", round)); err != nil {
				t.Error(err)
			}
		}
	}
}

// wantReset fails unless the client learns at once that the server does not know the
// connection.
func wantReset(t *testing.T, conn net.Conn) {
	t.Helper()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	if _, err := conn.Write([]byte("still there?")); err == nil {
		_, err = conn.Read(make([]byte, 100))
		if err == nil || os.IsTimeout(err) {
			t.Errorf("the connection was not reset: %v", err)
		}
	}
}
