package model

import (
	"encoding/binary"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// transport decides about TCP and UDP.
func (x *examination) transport() Verdict {
	e := x.endsAt(&x.ip)
	if !x.damaged && !x.routed && x.reply(e) {
		return Pass
	}
	sent := x.dir == rules.Egress
	rule := rules.Decide(x.Rules, x.dir, e.proto, e.destinationPort, e.peer(sent))
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
		x.pass(NoRule)
		x.passedBy(e)
		return Pass
	}
	switch x.Rules[rule].Action {
	case rules.Drop:
		x.Reason = DropRule
		x.Counters.Dropped++
		x.count(rule)
		return Drop
	case rules.Rewrite:
		x.rewrite(rule, e)
	default:
		x.pass(PassRule)
		x.count(rule)
		x.passedBy(e)
	}
	return Pass
}

func (x *examination) endsAt(p *ip) ends {
	return ends{
		proto:           rules.Protocol(p.protocol),
		source:          p.source,
		destination:     p.destination,
		sourcePort:      x.u16(p.load),
		destinationPort: x.u16(p.load + 2),
	}
}

// reply puts the source port of a reply back and tells whether it was one.
func (x *examination) reply(e ends) bool {
	key := e.key(opposite(x.dir), x.dir == rules.Egress)
	originalPort, found := x.find(key, e.sourcePort)
	if !found {
		return false
	}
	x.setPort(x.load, originalPort)
	x.Reason = Reply
	x.Counters.RepliesRestored++
	return true
}

func (x *examination) rewrite(rule int, e ends) {
	r := &x.Rules[rule]
	originalPort := e.destinationPort
	e.destinationPort = r.Rewritten(originalPort)
	x.setPort(x.load+2, e.destinationPort)
	x.Counters.Rewritten++
	x.count(rule)
	if r.OneWay {
		x.Reason = RewrittenOneWay
		x.passedBy(e)
		return
	}
	x.Reason = Rewritten
	x.remember(e.key(x.dir, x.dir == rules.Egress), originalPort)
}

// passedBy forgets the flow that has the same ends as a packet which is in none.
func (x *examination) passedBy(e ends) {
	x.forget(e.key(x.dir, x.dir == rules.Egress), e.destinationPort)
}

func (x *examination) count(rule int) {
	counter := &x.Counters.Rules[rule]
	counter.Packets++
	counter.Bytes += uint64(len(x.frame))
}

// setPort changes a port of the packet itself, and its checksum.
func (x *examination) setPort(at int, port uint16) {
	before := x.u16(at)
	x.put(at, port)
	if x.checksum != 0 {
		x.update(x.checksum, x.protocol, before, port)
	}
}

// put writes network byte order.
func (x *examination) put(at int, value uint16) {
	binary.BigEndian.PutUint16(x.frame[at:], value)
}

// update puts a checksum right after two bytes that it covers have changed.
func (x *examination) update(at int, protocol uint8, before, after uint16) {
	checksum := updated(x.u16(at), before, after)
	if checksum == 0 && protocol == uint8(rules.UDP) {
		checksum = 0xffff // 0 would say that there is none, RFC 768
	}
	x.put(at, checksum)
}

// updated is RFC 1624 equation 3: HC' = ~(~HC + ~m + m'), in one's complement.
func updated(checksum, before, after uint16) uint16 {
	sum := uint32(^checksum) + uint32(^before) + uint32(after)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
