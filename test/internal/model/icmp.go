package model

import "github.com/xdp-port/xdp-port/pkg/rules"

// icmpError restores the ports in the quote of an ICMP error. The quoted packet
// travelled in the opposite direction.
func (x *examination) icmpError() {
	quoted, ok := x.parseQuoted()
	if !ok {
		x.pass(ErrorUnusable)
		return
	}
	e := x.endsAt(&quoted)
	if to, found := x.quotedForward(e); found {
		x.setQuotedPorts(&quoted, to)
		x.Reason = ErrorForward
	} else if to, found := x.quotedReply(e); found {
		x.setQuotedPorts(&quoted, to)
		x.Reason = ErrorReply
	} else {
		x.pass(ErrorNoFlow)
		return
	}
	x.Counters.ICMPErrorsRestored++
}

// quotedForward returns the original ports of a quoted forward packet.
func (x *examination) quotedForward(e ends) (to ports, found bool) {
	dir := opposite(x.dir)
	if !x.isTarget(dir, e.proto, e.ports.destination) {
		return to, false
	}
	f := x.find(e.key(dir, dir == rules.Egress))
	if f == nil {
		return to, false
	}
	f.used = x.Now
	return f.original, f.original != e.ports
}

// quotedReply returns the ports of a quoted reply from before they were restored. The
// receiver of the error sent the reply with these ports.
func (x *examination) quotedReply(e ends) (to ports, found bool) {
	sent := x.dir == rules.Ingress
	original := e.reversed()
	key := e.key(x.dir, sent)
	rule := rules.Decide(x.Rules, x.dir, e.proto, original.destination, e.peer(sent))
	switch {
	case rule < 0 || x.Rules[rule].Action == rules.Pass:
		if !x.isTarget(x.dir, e.proto, original.destination) {
			return to, false
		}
	case x.Rules[rule].Action != rules.Rewrite || x.Rules[rule].OneWay:
		return to, false
	default:
		key.ports.destination = x.Rules[rule].Rewritten(original.destination)
	}
	f, there := x.findOwn(key, original)
	if f == nil {
		return to, false
	}
	f.used = x.Now
	return there.ports.reversed(), there.ports != original
}

// maxOptions bounds the number of options of a redirect that are parsed.
const maxOptions = 4

// quote returns the offset of the quoted packet, 0 if there is none. The packet follows
// the ICMP header or, in a redirect, is inside an option (RFC 4861 section 4.6.3).
func (x *examination) quote() int {
	at := x.load + 8
	if !x.ipv6 || x.frame[x.load] != redirect {
		return at
	}
	at += 32 // the target and the destination
	for range maxOptions {
		if len(x.frame)-at < 8 || x.frame[at+1] == 0 {
			return 0
		}
		if x.frame[at] == 4 {
			return at + 8
		}
		at += int(x.frame[at+1]) * 8
	}
	return 0
}

// parseQuoted parses the quoted packet up to its ports. It ignores length fields, since
// a quote may be truncated.
func (x *examination) parseQuoted() (quoted ip, ok bool) {
	at := x.quote()
	quoted.end = x.end
	if at == 0 {
		return quoted, false
	}
	if x.ipv6 {
		ok = x.ipv6Header(&quoted, at, x.end) && x.extensions(&quoted, at) == transport
	} else {
		quoted.load, ok = x.ipv4Header(&quoted, at, x.end)
		ok = ok && x.u16(at+6)&0x1fff == 0
	}
	if !ok || quoted.routed || quoted.end-quoted.load < 8 {
		return quoted, false
	}
	return quoted, x.findQuotedChecksum(&quoted)
}

// findQuotedChecksum returns false for anything but TCP and UDP.
func (x *examination) findQuotedChecksum(quoted *ip) bool {
	switch quoted.protocol {
	case uint8(rules.UDP):
		if x.u16(quoted.load+6) != 0 {
			quoted.checksum = quoted.load + 6
		}
	case uint8(rules.TCP):
		if quoted.end-quoted.load >= 18 {
			quoted.checksum = quoted.load + 16
		}
	default:
		return false
	}
	return true
}

// setQuotedPorts changes the ports of the quoted packet, and the quoted checksum if it
// is present. The checksum of the error covers both, and the two changes cancel out.
func (x *examination) setQuotedPorts(quoted *ip, to ports) {
	at, protocol := quoted.checksum, quoted.protocol
	if at == 0 {
		at, protocol = x.checksum, x.protocol
	}
	before := ports{x.u16(quoted.load), x.u16(quoted.load + 2)}
	x.put(quoted.load, to.source)
	x.put(quoted.load+2, to.destination)
	checksum := updated(updated(x.u16(at), before.source, to.source), before.destination, to.destination)
	x.put(at, orNone(checksum, protocol))
}
