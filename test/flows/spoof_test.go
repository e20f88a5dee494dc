package flows

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/packet"
)

// duplex holds both ends of a connection.
type duplex struct{ client, server net.Conn }

// connect opens count connections to a port. The server listens on listen.
func (e ends) connect(t *testing.T, count int, port uint16, listen int) (list []duplex) {
	t.Helper()
	var listener *net.TCPListener
	must(t, e.server.Do(func(ns.NetNS) (err error) {
		listener, err = net.ListenTCP("tcp", &net.TCPAddr{Port: listen})
		return err
	}))
	defer listener.Close()
	for range count {
		client, err := e.dial("tcp", 0, port)
		must(t, err)
		t.Cleanup(func() { abort(client) })
		must(t, listener.SetDeadline(time.Now().Add(patience)))
		server, err := listener.Accept()
		must(t, err)
		t.Cleanup(func() { abort(server) })
		list = append(list, duplex{client, server})
		must(t, list[len(list)-1].live(0))
	}
	return list
}

// live lets the server speak first, then the client.
func (d duplex) live(round int) error {
	for _, way := range [][2]net.Conn{{d.server, d.client}, {d.client, d.server}} {
		what := fmt.Sprintf("round %d from %s", round, way[0].LocalAddr())
		for _, conn := range way {
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
		}
		if _, err := way[0].Write([]byte(what)); err != nil {
			return err
		}
		if err := hear(way[1], what); err != nil {
			return err
		}
	}
	return nil
}

func wantLive(t *testing.T, after string, list []duplex, round int) {
	t.Helper()
	dead := 0
	for _, d := range list {
		if err := d.live(round); err != nil {
			if dead++; dead == 1 {
				t.Errorf("after %s: %v", after, err)
			}
		}
	}
	if dead > 0 {
		t.Errorf("after %s, %d of %d connections are dead", after, dead, len(list))
	}
}

// survivors returns the connections that still work. With the control, a nightly run
// may lose one of them: netfilter accepts any segment with a sequence number inside the
// window.
func survivors(t *testing.T, after string, list []duplex, round int) (live []duplex) {
	t.Helper()
	for _, d := range list {
		if d.live(round) == nil {
			live = append(live, d)
		}
	}
	t.Logf("after %s, %d of %d connections live", after, len(live), len(list))
	if len(live) < len(list)-1 {
		t.Errorf("after %s, only %d of %d connections live", after, len(live), len(list))
	}
	return live
}

// raw sends IP packets unchanged from a network namespace.
type raw struct{ fd4, fd6 int }

func openRaw(t *testing.T, in ns.NetNS) (r raw) {
	t.Helper()
	must(t, in.Do(func(ns.NetNS) (err error) {
		if r.fd4, err = unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW); err != nil {
			return err
		}
		r.fd6, err = unix.Socket(unix.AF_INET6, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
		return err
	}))
	t.Cleanup(func() { unix.Close(r.fd4); unix.Close(r.fd6) })
	return r
}

func (r raw) send(p packet.Packet) error {
	if p.Destination.Is4() {
		return unix.Sendto(r.fd4, p.IP(), 0, &unix.SockaddrInet4{Addr: p.Destination.As4()})
	}
	return unix.Sendto(r.fd6, p.IP(), 0, &unix.SockaddrInet6{Addr: p.Destination.As16()})
}

// kinds are the segments to spoof, by their flags.
var kinds = map[string]byte{"data": 0x18, "SYN": 0x02, "SYN+ACK": 0x12, "RST": 0x04, "RST+ACK": 0x14, "FIN": 0x11, "ACK": 0x10}

// TestSpoofedSegments sends segments with random sequence numbers in the name of a
// connection's peer, to both ports. No connection may end.
func TestSpoofedSegments(t *testing.T) {
	const connections = 20
	segments := 25 // per connection, kind and port
	if isNightly {
		segments = 500 // 10,000 of each kind
	}
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, mode, nil)
			for name, way := range w.ways() {
				for _, port := range []uint16{asked, target} {
					t.Run(fmt.Sprint(name, " to ", port), func(t *testing.T) {
						list := way.connect(t, connections, port, target)
						spoofer := openRaw(t, w.Far)
						round := 1
						for kind, flags := range kinds {
							for _, d := range list {
								must(t, spoof(spoofer, w.Far == way.client, d, flags, segments))
							}
							what := fmt.Sprint(2*segments*connections, " times ", kind)
							if mode == control {
								list = survivors(t, what, list, round)
							} else {
								wantLive(t, what, list, round)
							}
							round++
						}
					})
				}
			}
		})
	}
}

// spoof sends segments in the name of the remote end of a connection.
func spoof(r raw, clientIsFar bool, d duplex, flags byte, count int) error {
	remote, local := d.server.LocalAddr(), d.client.LocalAddr()
	if clientIsFar {
		remote, local = d.client.LocalAddr(), d.server.LocalAddr()
	}
	source, destination := addrPort(remote), addrPort(local)
	for range count {
		for _, port := range []uint16{asked, target} {
			load := packet.TCP{
				Source: source.Port(), Destination: port, Flags: flags,
				Sequence: rand.Uint32(), Acknowledged: rand.Uint32(),
			}
			if !clientIsFar {
				load.Source, load.Destination = port, destination.Port()
			}
			if flags == kinds["data"] {
				load.Payload = []byte("spoofed")
			}
			if err := r.send(packet.Packet{Source: source.Addr(), Destination: destination.Addr(), Load: load}); err != nil {
				return err
			}
		}
	}
	return nil
}

func addrPort(addr net.Addr) netip.AddrPort {
	at := addr.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
}

// TestSpoofedEnds sends RST and FIN in the peer's name, and nothing afterwards. Then it
// fills a small table. The connections are idle and not closed, so they must survive.
func TestSpoofedEnds(t *testing.T) {
	for _, mode := range modes[:3] {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, mode, map[string]any{"flows": 1024})
			way := w.ways()["ingress IPv4"]
			list := way.connect(t, 20, asked, target)
			spoofer := openRaw(t, w.Far)
			for _, kind := range []string{"FIN", "SYN", "RST"} {
				for _, d := range list {
					must(t, spoof(spoofer, true, d, kinds[kind], 3))
				}
			}
			flood(t, spoofer, way.address, 10*1024)
			wantLive(t, "resets and a flood", list, 1)
		})
	}
}

// flood sends datagrams from count sources to a port of the rules.
func flood(t *testing.T, r raw, to netip.Addr, count int) {
	t.Helper()
	from := netip.MustParseAddr("198.18.0.0").As4()
	for i := range count {
		binary.BigEndian.PutUint16(from[2:], uint16(i/1000))
		must(t, r.send(packet.Packet{
			Source: netip.AddrFrom4(from), Destination: to,
			Load: packet.UDP{Source: uint16(1024 + i%1000), Destination: asked, Payload: []byte("query")},
		}))
	}
}
