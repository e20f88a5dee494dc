package model

import (
	"math/rand/v2"
	"net/netip"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// Scenario is a list of rules and an endless sequence of packets. It uses few addresses
// and ports, so that packets match rules, belong to flows, conflict with each other,
// and are replied to and quoted. Packets have all kinds of shapes and damage. The same
// seed gives the same rules and packets.
type Scenario struct {
	Rules []rules.Rule

	random *rand.Rand
	// about are the indices of the rules that packets can match.
	about []int
	// containers, peers and routers have IPv4 and IPv6 addresses.
	containers, peers, routers [2][]netip.Addr
	// services are the ports of rules, before and after a rewrite. clients are the
	// other ports.
	services, clients []uint16
	// recent are packets that may get a reply or an error. last is the index of the
	// last packet in it, -1 if it is not there.
	recent []sent
	last   int
}

// sent is a packet before and after the rules.
type sent struct {
	dir           rules.Direction
	before, after packet.Packet
}

// maxRecent bounds the age of a packet that gets a reply.
const maxRecent = 16

// NewScenario returns the scenario of a seed.
func NewScenario(seed uint64) *Scenario {
	s := &Scenario{random: rand.New(rand.NewPCG(seed, 0x7864702d706f7274))}
	s.containers = s.hosts(1, "10.88.0.2", "fd00::2")
	s.peers = s.hosts(3, "192.0.2.1", "2001:db8::1")
	s.routers = s.hosts(1, "10.88.0.1", "fe80::1")
	for range 3 {
		s.clients = append(s.clients, uint16(32768+s.random.IntN(32768)))
	}
	s.pickServices()
	s.makeRules()
	return s
}

func (s *Scenario) hosts(n int, first ...string) (hosts [2][]netip.Addr) {
	for family := range hosts {
		host := netip.MustParseAddr(first[family])
		for range n {
			hosts[family] = append(hosts[family], host)
			host = host.Next()
		}
	}
	// An IPv6 packet may have the v4-mapped form of an IPv4 address (RFC 4291 section
	// 2.5.5.2). It belongs to other flows and rules than an IPv4 packet.
	hosts[1] = append(hosts[1], netip.AddrFrom16(hosts[0][0].As16()))
	return hosts
}

// message is a kind of packet, with its relative frequency.
type message struct {
	weight int
	make   func(s *Scenario) (rules.Direction, packet.Packet)
}

var messages = []message{
	{30, (*Scenario).forward},
	{16, (*Scenario).again},
	{18, (*Scenario).reply},
	{10, (*Scenario).direct},
	{12, (*Scenario).errorAboutForward},
	{12, (*Scenario).errorAboutReply},
	{3, (*Scenario).stray},
	{4, (*Scenario).foreign},
}

// Next returns the next packet and its direction. The packet has at least 14 bytes.
func (s *Scenario) Next() (dir rules.Direction, frame []byte) {
	s.last = -1
	if s.chance(1) {
		return s.direction(), s.noise()
	}
	total := 0
	for _, m := range messages {
		total += m.weight
	}
	left := s.random.IntN(total)
	for _, m := range messages {
		if left -= m.weight; left < 0 {
			dir, p := m.make(s)
			return dir, s.damage(s.wrap(s.shape(p)))
		}
	}
	panic("the weights do not add up")
}

// chance is true in the given percentage of calls.
func (s *Scenario) chance(percent int) bool {
	return s.random.IntN(100) < percent
}

func pick[E any](s *Scenario, from []E) E {
	return from[s.random.IntN(len(from))]
}

func (s *Scenario) direction() rules.Direction {
	return rules.Direction(s.random.IntN(2))
}

// noise returns random bytes, sometimes with a valid EtherType.
func (s *Scenario) noise() []byte {
	frame := make([]byte, 14+s.random.IntN(100))
	for i := range frame {
		frame[i] = byte(s.random.Uint32())
	}
	if s.chance(50) {
		return frame
	}
	return packet.Set16(frame, 12, pick(s, []uint16{
		packet.EtherTypeIPv4, packet.EtherTypeIPv6, packet.EtherTypeVLAN, packet.EtherTypeProvider,
	}))
}

// load returns TCP or UDP, most often the protocol of the rule.
func (s *Scenario) load(proto rules.Protocol, source, destination uint16) packet.Load {
	payload := make([]byte, s.random.IntN(20))
	if s.chance(3) {
		payload = make([]byte, s.random.IntN(1200))
	}
	for i := range payload {
		payload[i] = byte(s.random.Uint32())
	}
	if proto == rules.UDP {
		return packet.UDP{
			Source: source, Destination: destination, NoChecksum: s.chance(10), NoLength: s.chance(3), Payload: payload,
		}
	}
	load := packet.TCP{
		Source: source, Destination: destination, Flags: s.flags(), Payload: payload,
		Sequence: pick(s, numbers), Acknowledged: pick(s, numbers),
	}
	if s.chance(50) {
		load.Payload = nil
	}
	if s.chance(20) {
		load.Options = make([]byte, s.random.IntN(41))
	}
	return load
}

// numbers are sequence numbers. Some are close to each other, one of them across the
// wrap-around, and one is not.
var numbers = []uint32{0, 1, 1 << 20, 1<<32 - 1000, 1 << 31}

// flags returns the flags of a typical segment, or random ones.
func (s *Scenario) flags() byte {
	const fin, syn, rst, push, ack = 1, 2, 4, 8, 16
	if s.chance(10) {
		return byte(s.random.Uint32())
	}
	return pick(s, []byte{syn, syn | ack, ack, ack, ack, push | ack, push | ack, fin | ack, rst, rst | ack})
}

// between returns a packet of a random container and peer in this direction.
func (s *Scenario) between(dir rules.Direction, load packet.Load) packet.Packet {
	family := s.random.IntN(2)
	source, destination := pick(s, s.containers[family]), pick(s, s.peers[family])
	if dir == rules.Ingress {
		source, destination = destination, source
	}
	return packet.Packet{Source: source, Destination: destination, Load: load}
}

// forward returns a packet to a port that a rule matches.
func (s *Scenario) forward() (rules.Direction, packet.Packet) {
	rule := &s.Rules[pick(s, s.about)]
	port := pick(s, s.services)
	if s.chance(80) {
		port = s.portOf(rule)
	}
	p := s.between(rule.Direction, s.load(rule.Protocol, pick(s, s.clients), port))
	s.record(rule.Direction, p)
	return rule.Direction, p
}

// portOf returns one of a few ports of the rule.
func (s *Scenario) portOf(rule *rules.Rule) uint16 {
	return rule.Ports.First + uint16(s.random.IntN(min(3, rule.Ports.Len())))
}

func (s *Scenario) record(dir rules.Direction, p packet.Packet) {
	peer := p.Destination
	if dir == rules.Ingress {
		peer = p.Source
	}
	source, destination := p.Ports()
	after := p
	rule := rules.Decide(s.Rules, dir, protocolOf(p), destination, peer)
	if rule >= 0 && s.Rules[rule].Action == rules.Rewrite {
		after = p.WithPorts(source, s.Rules[rule].Rewritten(destination))
	}
	s.recent = append(s.recent, sent{dir, p, after})
	if len(s.recent) > maxRecent {
		s.recent = s.recent[1:]
	}
	s.last = len(s.recent) - 1
}

// Moved sets the translated source port of the last packet. Replies go there.
func (s *Scenario) Moved(source uint16) {
	if s.last >= 0 {
		recent := &s.recent[s.last]
		_, destination := recent.after.Ports()
		recent.after = recent.after.WithPorts(source, destination)
	}
}

// answerable returns a recent packet, most often a rewritten one.
func (s *Scenario) answerable() sent {
	if len(s.recent) == 0 {
		s.forward()
	}
	for range 4 {
		recent := pick(s, s.recent)
		source, destination := recent.before.Ports()
		if s, d := recent.after.Ports(); s != source || d != destination {
			return recent
		}
	}
	return pick(s, s.recent)
}

// again repeats a recent packet, or returns the next one of its connection.
func (s *Scenario) again() (rules.Direction, packet.Packet) {
	recent := s.answerable()
	source, destination := recent.before.Ports()
	p := recent.before
	p.Load = s.load(protocolOf(p), source, destination)
	s.record(recent.dir, p)
	return recent.dir, p
}

// reply returns the reply to a packet as it was on the wire.
func (s *Scenario) reply() (rules.Direction, packet.Packet) {
	recent := s.answerable()
	source, destination := recent.after.Reply().Ports()
	p := recent.after.Reply()
	p.Load = s.load(protocolOf(p), source, destination)
	return opposite(recent.dir), p
}

func protocolOf(p packet.Packet) rules.Protocol {
	if _, isUDP := p.Load.(packet.UDP); isUDP {
		return rules.UDP
	}
	return rules.TCP
}

// direct returns a packet straight to the target port of another packet.
func (s *Scenario) direct() (rules.Direction, packet.Packet) {
	recent := s.answerable()
	source, _ := recent.before.Ports()
	_, destination := recent.after.Ports()
	p := recent.before.WithPorts(source, destination)
	s.record(recent.dir, p)
	return recent.dir, p
}

// errorAboutForward returns an error that quotes a forward packet as it was on the
// wire.
func (s *Scenario) errorAboutForward() (rules.Direction, packet.Packet) {
	recent := s.answerable()
	return opposite(recent.dir), s.errorAbout(recent.after)
}

// errorAboutReply returns an error that quotes a reply as its receiver saw it, with
// restored ports.
func (s *Scenario) errorAboutReply() (rules.Direction, packet.Packet) {
	recent := s.answerable()
	return recent.dir, s.errorAbout(recent.before.Reply())
}

// errorAbout returns an error to the source of a packet, from its destination or a
// router on the path.
func (s *Scenario) errorAbout(p packet.Packet) packet.Packet {
	family, kinds := 0, []uint8{3, 3, 3, 4, 5, 11, 12}
	if p.Source.Is6() {
		family, kinds = 1, []uint8{1, 2, 3, 4, packet.ICMPv6Redirect}
	}
	from := p.Destination
	if s.chance(30) {
		from = pick(s, s.routers[family])
	}
	load := packet.Error{Type: pick(s, kinds), Code: uint8(s.random.IntN(5)), Rest: s.random.Uint32(), Quoted: s.quoted(p)}
	if load.Type == packet.ICMPv6Redirect {
		load.Quoted = packet.Redirected(load.Quoted, s.random.IntN(3))
	}
	return packet.Packet{Source: from, Destination: p.Source, Load: load}
}

// quoted returns all of a packet, or a part that some systems quote.
func (s *Scenario) quoted(p packet.Packet) []byte {
	p = s.shape(p)
	all, load := p.IP(), p.TransportOffset()-p.NetworkOffset()
	switch s.random.IntN(8) {
	case 0, 1:
		return packet.Truncate(all, load+8) // RFC 792
	case 2:
		return packet.Truncate(all, load+16+s.random.IntN(4)) // around the TCP checksum
	case 3:
		return packet.Truncate(all, load+s.random.IntN(21))
	case 4:
		return s.damageAt(all, 0)
	}
	return all
}

// stray returns a packet with random ports and direction.
func (s *Scenario) stray() (rules.Direction, packet.Packet) {
	ports := slices.Concat(s.clients, s.services)
	dir, proto := s.direction(), pick(s, []rules.Protocol{rules.TCP, rules.UDP})
	return dir, s.between(dir, s.load(proto, pick(s, ports), pick(s, ports)))
}

// foreign returns a packet that no rule matches.
func (s *Scenario) foreign() (rules.Direction, packet.Packet) {
	dir := s.direction()
	p := s.between(dir, pick(s, []packet.Load{
		packet.Echo{Payload: []byte("ping")},
		packet.Error{Type: uint8(s.random.IntN(256)), Quoted: []byte("no error")},
		packet.Raw{Protocol: 47, Payload: make([]byte, 40)},
		packet.Raw{Protocol: packet.ProtocolAuthentication, Payload: make([]byte, 40)},
		packet.Raw{Protocol: uint8(s.random.IntN(256)), Payload: make([]byte, s.random.IntN(60))},
		packet.Raw{Protocol: packet.ProtocolNoNext},
	}))
	if s.chance(20) {
		p.EtherType = packet.EtherTypeARP
	}
	return dir, p
}
