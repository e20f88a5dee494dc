//go:build linux && (amd64 || arm64)

package crash

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/affinity"
	"github.com/xdp-port/xdp-port/test/node"
)

// Ports of the probes. No rule matches the marks.
const (
	mark       = 4999
	plainPort  = 5000
	peerPort   = 6000
	egressPort = 7999 // rewritten on the way out
	servedPort = 80   // rewritten on the way in
)

// dropPorts are ports that some rules drop and others do not.
var dropPorts = []int{25, 26}

// sight is what happens to a container's packets. It shows for each part of the rules
// whether it is in force.
type sight struct {
	// egress is the port that egressPort becomes at the far host, ingress the one that
	// servedPort becomes in the container.
	egress, ingress int
	// reply is the source port, in the container, of answers to egressPort;
	// ingressReply is the source port, at the far host, of the container's server.
	reply, ingressReply int
	// sent and received are the dropPorts that get through in each direction.
	sent, received string
}

// untouched is the sight of a container without rules.
var untouched = sight{
	egress: egressPort, reply: egressPort, ingress: servedPort, ingressReply: servedPort,
	sent: "25 26", received: "25 26",
}

// prober observes the traffic between a container and the far host.
type prober struct {
	container, far     *mouths
	atContainer, atFar wire
	containerIP, farIP net.IP
	// probe is the number of this look, across all containers.
	probe int64
}

var probes atomic.Int64

func newProber(t testing.TB, s *stage, c *node.Container) *prober {
	t.Helper()
	address, err := c.Addr(unix.AF_INET)
	must(t, err)
	p := &prober{
		container:   newMouths(t, c.NS),
		far:         s.far,
		containerIP: address.AsSlice(),
		farIP:       net.ParseIP(node.FarIPv4),
	}
	p.atContainer, err = tap(c.NS, c.IfName)
	must(t, err)
	p.atFar, err = tap(s.Far, node.ToNode)
	must(t, err)
	t.Cleanup(func() {
		must(t, errors.Join(p.atContainer.Close(), p.atFar.Close()))
	})
	return p
}

// look probes everything once. Packets in one direction keep their order, so a packet
// that arrives neither before nor with the mark does not arrive at all.
func (p *prober) look() (s sight, err error) {
	p.probe = probes.Add(1)
	p.atContainer.forget()
	p.atFar.forget()
	out, err := p.outward(plainPort, append([]int{egressPort}, dropPorts...))
	if err != nil {
		return s, err
	}
	s.egress, s.sent = out[egressPort].destination, passed(out)
	in, err := p.inward(peerPort, append([]int{servedPort}, dropPorts...))
	if err != nil {
		return s, err
	}
	s.ingress, s.received = in[servedPort].destination, passed(in)
	reply, err := p.inward(s.egress, []int{plainPort})
	if err != nil {
		return s, err
	}
	s.reply = reply[plainPort].source
	answer, err := p.outward(s.ingress, []int{peerPort})
	if err != nil {
		return s, err
	}
	s.ingressReply = answer[peerPort].source
	return s, nil
}

func passed(came map[int]datagram) string {
	var ports []string
	for _, port := range dropPorts {
		if _, ok := came[port]; ok {
			ports = append(ports, fmt.Sprint(port))
		}
	}
	return strings.Join(ports, " ")
}

// outward sends from a port of the container to each of the far host's ports, and
// returns what arrived.
func (p *prober) outward(from int, to []int) (map[int]datagram, error) {
	return p.send(p.container, p.atFar, from, p.farIP, to)
}

// inward sends in the other direction.
func (p *prober) inward(from int, to []int) (map[int]datagram, error) {
	return p.send(p.far, p.atContainer, from, p.containerIP, to)
}

// send sends from one CPU, because the kernel keeps the order only of packets that one
// CPU handles.
func (p *prober) send(m *mouths, w wire, from int, ip net.IP, to []int) (map[int]datagram, error) {
	leave, err := affinity.Stay()
	if err != nil {
		return nil, err
	}
	defer leave()
	for _, port := range to {
		if err := m.say(from, net.UDPAddr{IP: ip, Port: port}, fmt.Sprintf("probe %d to %d", p.probe, port)); err != nil {
			return nil, err
		}
	}
	end := fmt.Sprintf("probe %d of %d ends", p.probe, from)
	if err := m.say(mark, net.UDPAddr{IP: ip, Port: mark}, end); err != nil {
		return nil, err
	}
	came := map[int]datagram{}
	for {
		d, err := w.hear()
		if err != nil {
			return nil, fmt.Errorf("probes from port %d: %w", from, err)
		}
		if d.payload == end {
			return came, nil
		}
		var probe int64
		var port int
		if _, err := fmt.Sscanf(d.payload, "probe %d to %d", &probe, &port); err == nil && probe == p.probe {
			came[port] = d
		}
	}
}
