package lifecycle

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// Ports of streams. The rules rewrite streamPort to streamTarget plus the version, and drop
// droppedPort.
const streamPort, streamTarget, droppedPort = 6999, 7000, 25

// stream is continuous traffic to and from a container. A datagram may be missing, but none may
// arrive that the rules drop, or at another port than the rules say. While the rules do not
// change, all answers must come from the port that was asked.
type stream struct {
	id string
	// era is the present era.
	era atomic.Pointer[era]
	// wrong is the first datagram that the rules do not allow.
	wrong     atomic.Pointer[string]
	interval  time.Duration
	stop      chan struct{}
	stopOnce  sync.Once
	goroutine sync.WaitGroup
}

// era is a time with the same rules, or with a replacement of the same two rules. A datagram that
// arrives in a later era proves nothing.
type era struct {
	number int
	// versions are the rules that may be in force. If it is empty, anything may happen.
	versions []int
	// answered counts answers outward and inward.
	answered [2]atomic.Int64
}

// streams are the running streams by ID, for the receivers of their datagrams.
var streams sync.Map

// interval is the time between datagrams in each direction if there are few streams.
var interval = pace.Patience(2 * time.Millisecond)

// startStream starts to send in both directions. From now on add, apply and del report to the
// stream which rules are in force.
func (p *pod) startStream(t testing.TB, interval time.Duration) {
	t.Helper()
	s := &stream{id: p.id, interval: interval, stop: make(chan struct{})}
	s.era.Store(&era{})
	streams.Store(s.id, s)
	p.stream = s
	p.changed()
	p.hear(t)
	receive(t, p.c.NS)
	s.send(p.c.NS, 0, p.address(1))
	s.send(p.NS, 1, p.address(2))
	t.Cleanup(func() {
		s.end()
		s.check(t)
	})
}

func (s *stream) end() {
	s.stopOnce.Do(func() { close(s.stop) })
	s.goroutine.Wait()
	streams.Delete(s.id)
}

// check fails the test if a datagram arrived that the rules do not allow.
func (s *stream) check(t testing.TB) {
	t.Helper()
	if wrong := s.wrong.Load(); wrong != nil {
		t.Errorf("%s: %s", s.id, *wrong)
	}
}

// begin begins an era.
func (s *stream) begin(versions ...int) {
	s.era.Store(&era{number: s.era.Load().number + 1, versions: versions})
}

// mustFlow expects new datagrams to arrive in both directions, under the container's rules.
func (s *stream) mustFlow(t testing.TB) {
	t.Helper()
	s.begin(s.era.Load().versions...)
	current := s.era.Load()
	const enough = 3
	for deadline := time.Now().Add(pace.Patience(10 * time.Second)); ; time.Sleep(2 * time.Millisecond) {
		out, in := current.answered[0].Load(), current.answered[1].Load()
		if out >= enough && in >= enough {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %d datagrams from the container were answered, and %d to it", s.id, out, in)
		}
	}
	s.check(t)
}

// changing announces a change of the container's rules, or of its mode or hook. The latter takes a
// moment without rules.
func (p *pod) changing(version int, m manner) {
	switch {
	case p.stream == nil:
	case p.version == 0 || version == 0 || m != p.manner:
		p.stream.begin()
	case version == p.version:
		p.stream.begin(version)
	default:
		p.stream.begin(p.version, version)
	}
}

// changed announces that the container has its rules.
func (p *pod) changed() {
	switch {
	case p.stream == nil:
	case p.version == 0:
		p.stream.begin()
	default:
		p.stream.begin(p.version)
	}
}

// send sends from a namespace, along one lasting flow and several short ones.
func (s *stream) send(from ns.NetNS, direction int, to netip.Addr) {
	s.goroutine.Go(func() {
		var lasting, brief *net.UDPConn
		ticker := time.NewTicker(s.interval)
		defer ticker.Stop()
		for i := 0; ; i++ {
			lasting = s.dialled(from, direction, lasting, lasting == nil)
			brief = s.dialled(from, direction, brief, i%16 == 0)
			for _, conn := range []*net.UDPConn{lasting, brief} {
				s.sendOnce(conn, to)
			}
			select {
			case <-ticker.C:
			case <-s.stop:
				closeAll(lasting, brief)
				return
			}
		}
	})
}

func closeAll(conns ...*net.UDPConn) {
	for _, conn := range conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
}

// dialled returns the socket, or a new one.
func (s *stream) dialled(in ns.NetNS, direction int, conn *net.UDPConn, another bool) *net.UDPConn {
	if !another {
		return conn
	}
	closeAll(conn)
	conn, err := node.ListenUDP(in, 0)
	if err != nil {
		s.report("open a socket: %v", err)
		return nil
	}
	s.goroutine.Go(func() { s.hearAnswers(conn, direction) })
	return conn
}

// sendOnce ignores errors: a device that moves has no route for a moment.
func (s *stream) sendOnce(conn *net.UDPConn, to netip.Addr) {
	if conn == nil {
		return
	}
	for _, port := range []uint16{streamPort, droppedPort} {
		_, _ = fmt.Fprintf(&addressed{conn, netip.AddrPortFrom(to, port)}, "%s %d %d", s.id, s.era.Load().number, port)
	}
}

// addressed writes datagrams to one address.
type addressed struct {
	conn *net.UDPConn
	to   netip.AddrPort
}

func (a *addressed) Write(b []byte) (int, error) { return a.conn.WriteToUDPAddrPort(b, a.to) }

// hearAnswers expects answers to come from the port that was asked. Rules decide about packets, not
// flows, so during a replacement an answer may come from a port that the new rules do not know.
func (s *stream) hearAnswers(conn *net.UDPConn, direction int) {
	buffer := make([]byte, 200)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buffer)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		_, number, port, ok := parse(buffer[:n])
		current := s.era.Load()
		if err != nil || !ok || number != current.number {
			continue
		}
		if len(current.versions) == 1 && from.Port() != port {
			s.report("the answer to a datagram to port %d comes from port %d, with %s", port, from.Port(), current)
		}
		current.answered[direction].Add(1)
	}
}

// parse returns the stream and the era of a datagram, and the port that it was sent to.
func parse(datagram []byte) (id string, number int, port uint16, ok bool) {
	_, err := fmt.Sscanf(string(datagram), "%s %d %d", &id, &number, &port)
	return id, number, port, err == nil
}

func (e *era) String() string { return fmt.Sprintf("rules %v in force", e.versions) }

// judge checks a datagram that arrived at a port.
func (s *stream) judge(number int, sentTo, at uint16) {
	current := s.era.Load()
	if number != current.number || len(current.versions) == 0 {
		return
	}
	isRight := func(version int) bool { return sentTo == streamPort && int(at) == streamTarget+version }
	if !slices.ContainsFunc(current.versions, isRight) {
		s.report("a datagram to port %d arrives at port %d, with %s", sentTo, at, current)
	}
}

func (s *stream) report(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.wrong.CompareAndSwap(nil, &text)
}

// hear receives the datagrams of all streams of the node.
func (w *world) hear(t testing.TB) {
	t.Helper()
	if !w.hears {
		w.hears = true
		receive(t, w.NS)
	}
}

// receive answers the datagrams that arrive in a namespace, and judges them.
func receive(t testing.TB, in ns.NetNS) {
	t.Helper()
	for _, port := range []int{streamPort, droppedPort, streamTarget + 1, streamTarget + 2, streamTarget + 3} {
		conn, err := node.ListenUDP(in, port)
		must(t, err)
		t.Cleanup(func() { conn.Close() })
		go func() {
			buffer := make([]byte, 200)
			for {
				n, from, err := conn.ReadFromUDPAddrPort(buffer)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				id, number, sentTo, ok := parse(buffer[:n])
				if s, runs := streams.Load(id); err == nil && ok && runs {
					s.(*stream).judge(number, sentTo, uint16(port))
					_, _ = conn.WriteToUDPAddrPort(buffer[:n], from)
				}
			}
		}()
	}
}

// TestStream removes the rules without an announcement. The stream must report that.
func TestStream(t *testing.T) {
	p := newWorld(t).pod(t, "host0", 0)
	m := manners(t)[0]
	p.add(t, 1, m)
	p.startStream(t, interval)
	p.stream.mustFlow(t)
	p.must(t, "DEL", entry(p.network, 1, m))
	for deadline := time.Now().Add(pace.Patience(10 * time.Second)); p.stream.wrong.Load() == nil; time.Sleep(interval) {
		if time.Now().After(deadline) {
			t.Fatal("the stream finds nothing wrong without rules")
		}
	}
	p.stream.end()
	p.stream.wrong.Store(nil)
	mustBeClean(t)
}
