package model

import (
	"encoding/binary"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// transport decides a TCP or UDP packet.
func (x *examination) transport() Verdict {
	e := x.endsAt(&x.ip)
	if !x.damaged && !x.routed && x.reply(&e) {
		return Pass
	}
	sent := x.dir == rules.Egress
	rule := rules.Decide(x.Rules, x.dir, e.proto, e.ports.destination, e.peer(sent))
	dropped := rule >= 0 && x.Rules[rule].Action == rules.Drop
	if x.damaged && !dropped {
		x.malformed(Damaged)
		return Pass
	}
	if x.routed && !dropped {
		x.pass(Routed)
		return Pass
	}
	if rule < 0 {
		return x.unruled(NoRule, e)
	}
	x.count(rule)
	switch x.Rules[rule].Action {
	case rules.Drop:
		x.Reason = DropRule
		x.Counters.Dropped++
		return Drop
	case rules.Rewrite:
		return x.rewrite(&x.Rules[rule], e)
	default:
		return x.unruled(PassRule, e)
	}
}

func (x *examination) endsAt(p *ip) ends {
	return ends{
		proto:       rules.Protocol(p.protocol),
		source:      p.source,
		destination: p.destination,
		ports:       ports{x.u16(p.load), x.u16(p.load + 2)},
	}
}

// segmentOf returns the packet as a segment of its flow, which has direction dir.
func (x *examination) segmentOf(dir rules.Direction) segment {
	s := segment{fromContainer: x.dir == rules.Egress, isReply: x.dir != dir}
	if x.protocol == uint8(rules.TCP) {
		flags := x.frame[x.load+13]
		s.fin, s.syn, s.rst, s.ack = flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&16 != 0
		s.sequence, s.acknowledged = x.u32(x.load+4), x.u32(x.load+8)
		s.hasData = x.end-x.load > int(x.frame[x.load+12]>>4)*4
	}
	return s
}

// reply restores the ports of a reply. It returns whether the packet is done. A
// connection with unchanged ports, or with only its source port translated, is subject
// to the rules: if a rule drops the restored ports, the packet gets these ports and is
// dropped.
func (x *examination) reply(e *ends) bool {
	dir := opposite(x.dir)
	key := e.key(dir, x.dir == rules.Egress)
	if !x.isTarget(dir, e.proto, key.ports.destination) {
		return false
	}
	f := x.find(key)
	if f == nil {
		return false
	}
	f.follow(x.segmentOf(dir), x.Now)
	back := f.original.reversed()
	if back == e.ports {
		return false
	}
	x.Reason = Reply
	if back.source == e.ports.source {
		rule := rules.Decide(x.Rules, x.dir, e.proto, back.destination, e.peer(x.dir == rules.Egress))
		if rule >= 0 && x.Rules[rule].Action == rules.Drop {
			e.ports = back
			return false
		}
		x.Reason = MovedReply
	}
	x.setPorts(back)
	x.Counters.RepliesRestored++
	return true
}

func (x *examination) rewrite(r *rules.Rule, e ends) Verdict {
	to := e.ports
	to.destination = r.Rewritten(to.destination)
	if r.OneWay {
		x.Reason = RewrittenOneWay
	} else if x.Reason = Rewritten; !x.follow(e, &to) {
		return Drop
	}
	x.Counters.Rewritten++
	x.setPorts(to)
	return Pass
}

// unruled passes a packet without a rewrite, and tracks its flow if it has one.
func (x *examination) unruled(reason Reason, e ends) Verdict {
	to := e.ports
	if x.isTarget(x.dir, e.proto, to.destination) && !x.follow(e, &to) {
		return Drop
	}
	if to == e.ports {
		x.pass(reason)
		return Pass
	}
	x.Reason = Moved
	x.Counters.Rewritten++
	x.setPorts(to)
	return Pass
}

// follow sets the ports of a forward packet by its flow. It returns false if no source
// port is free; the packet is dropped then.
func (x *examination) follow(e ends, to *ports) (found bool) {
	original := e.ports
	e.ports = *to
	*to, found = x.track(e.key(x.dir, x.dir == rules.Egress), original, x.segmentOf(x.dir), x.load)
	x.Source = to.source
	if !found {
		x.Reason = NoPort
		x.Counters.Dropped++
	}
	return found
}

func (x *examination) count(rule int) {
	counter := &x.Counters.Rules[rule]
	counter.Packets++
	counter.Bytes += uint64(len(x.frame))
}

// setPorts changes the ports of the packet itself, and its checksum.
func (x *examination) setPorts(to ports) {
	before := ports{x.u16(x.load), x.u16(x.load + 2)}
	x.put(x.load, to.source)
	x.put(x.load+2, to.destination)
	if at := x.checksum; at != 0 {
		checksum := updated(updated(x.u16(at), before.source, to.source), before.destination, to.destination)
		x.put(at, orNone(checksum, x.protocol))
	}
}

// put writes a number in network byte order.
func (x *examination) put(at int, value uint16) {
	binary.BigEndian.PutUint16(x.frame[at:], value)
}

// orNone replaces a UDP checksum of 0, which would mean "no checksum" (RFC 768).
func orNone(checksum uint16, protocol uint8) uint16 {
	if checksum == 0 && protocol == uint8(rules.UDP) {
		return 0xffff
	}
	return checksum
}

// updated is RFC 1624 equation 3: HC' = ~(~HC + ~m + m'), in one's complement.
func updated(checksum, before, after uint16) uint16 {
	sum := uint32(^checksum) + uint32(^before) + uint32(after)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
