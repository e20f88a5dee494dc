package model

import "github.com/xdp-port/xdp-port/pkg/rules"

// icmpError puts the port back that an ICMP error quotes. The quoted packet
// went the other way than the error does.
func (x *examination) icmpError() {
	quoted, ok := x.parseQuoted()
	if !ok {
		x.pass(ErrorUnusable)
		return
	}
	e := x.endsAt(&quoted)
	if originalPort, found := x.quotedForward(e); found {
		x.setQuotedPort(&quoted, quoted.load+2, originalPort)
		x.Reason = ErrorForward
	} else if port, found := x.quotedReply(e); found {
		x.setQuotedPort(&quoted, quoted.load, port)
		x.Reason = ErrorReply
	} else {
		x.pass(ErrorNoFlow)
		return
	}
	x.Counters.ICMPErrorsRestored++
}

// quotedForward is the port that the destination port of a quoted packet was
// before the rewrite.
func (x *examination) quotedForward(e ends) (port uint16, found bool) {
	dir := opposite(x.dir)
	return x.find(e.key(dir, dir == rules.Egress), e.destinationPort)
}

// quotedReply is the port that the source port of a quoted reply was before it
// was put back: who gets the error sent the reply from there.
func (x *examination) quotedReply(e ends) (port uint16, found bool) {
	sent := x.dir == rules.Ingress
	original := e.sourcePort
	rule := rules.Decide(x.Rules, x.dir, e.proto, original, e.peer(sent))
	if rule < 0 || x.Rules[rule].Action != rules.Rewrite || x.Rules[rule].OneWay {
		return 0, false
	}
	e.sourcePort = x.Rules[rule].Rewritten(original)
	before, found := x.flows[e.key(x.dir, sent)]
	return e.sourcePort, found && before == original
}

// maxOptions is how many options of a redirect are looked at.
const maxOptions = 4

// quote is where the quoted packet begins, 0 if there is none: right behind the
// ICMP header or, in a redirect, in the option for it (RFC 4861 section 4.6.3).
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

// parseQuoted reads the quoted packet up to its ports, by what is there and not
// by the lengths it says.
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

// setQuotedPort changes a port of the quoted packet, and the quoted checksum if
// there is one; the outer checksum covers both, and then they cancel out.
func (x *examination) setQuotedPort(quoted *ip, at int, port uint16) {
	before := x.u16(at)
	x.put(at, port)
	if quoted.checksum != 0 {
		x.update(quoted.checksum, quoted.protocol, before, port)
	} else {
		x.update(x.checksum, x.protocol, before, port)
	}
}
