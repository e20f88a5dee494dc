package flows

import (
	"errors"
	"fmt"
	"net"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// TestIdleConnections sends ten times as many DNS-like queries as the table has room
// for, from a container, from its neighbour, and from both at once. Idle TCP
// connections of the container must survive: the server speaks first afterwards.
func TestIdleConnections(t *testing.T) {
	sizes := []int{1024}
	if isNightly {
		sizes = append(sizes, 65536)
	}
	for _, mode := range modes[:3] {
		for _, size := range sizes {
			t.Run(fmt.Sprint(mode, " ", size), func(t *testing.T) {
				w := newWorld(t, mode, map[string]any{"flows": size})
				way := w.ways()["egress IPv4"]
				list := way.connect(t, 20, asked, target)
				neighbour := attach(t, w.Node)
				w.apply(neighbour)
				server, err := node.UDPEcho(w.Far, target)
				must(t, err)
				defer server.Close()
				flood := func(client *node.Container) error { return query(client.NS, way, pace.Share(10*size)) }
				must(t, flood(neighbour))
				must(t, flood(w.container))
				wantLive(t, "queries of the neighbour, then its own", list, 1)
				must(t, flood(neighbour))
				wantLive(t, "queries of the neighbour again", list, 2)
				theirs := make(chan error)
				go func() { theirs <- flood(neighbour) }()
				must(t, errors.Join(flood(w.container), <-theirs))
				wantLive(t, "queries of both at once", list, 3)
			})
		}
	}
}

// query sends count queries, each from a socket of its own, and waits for a few of the
// answers.
func query(from ns.NetNS, way ends, count int) error {
	way.client = from
	for i := range count {
		conn, err := way.dial("udp", uint16(1024+i%60000), asked)
		if err != nil {
			return err
		}
		if i%100 == 0 {
			err = ask(conn, "who is this?")
		} else {
			_, err = conn.Write([]byte("who is that?"))
		}
		if err := errors.Join(err, conn.Close()); err != nil {
			return err
		}
	}
	return nil
}

// ask is talk over UDP, beside a flood that may fill the server's socket buffer: it asks
// again if no answer comes.
func ask(conn net.Conn, what string) (err error) {
	const tries = 5
	for range tries {
		if err = talk(conn, what); err == nil {
			break
		}
	}
	return err
}

// TestRemovedTable removes the flow table under live connections, as after an eviction or
// a removal of the state. Connections without a translated source port continue with
// the client's next packet. The others are reset instead of hanging.
func TestRemovedTable(t *testing.T) {
	for _, mode := range modes[:3] {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, mode, nil)
			for name, way := range w.ways() {
				t.Run(name, func(t *testing.T) {
					way.echo(t, target)
					var conns []net.Conn
					for _, port := range []uint16{asked, target} {
						conn, err := way.dial("tcp", 22000, port)
						must(t, err)
						defer abort(conn)
						must(t, talk(conn, "before"))
						conns = append(conns, conn)
					}
					for _, operation := range []string{"DEL", "ADD"} {
						refusal, err := w.container.Plugin(operation, w.config)
						must(t, err)
						if refusal != nil {
							t.Fatal(refusal)
						}
					}
					must(t, talk(conns[0], "after"))
					wantReset(t, conns[1])
					must(t, talk(conns[0], "still"))
				})
			}
		})
	}
}
