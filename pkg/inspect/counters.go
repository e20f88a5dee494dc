package inspect

import (
	"github.com/xdp-port/xdp-port/pkg/trace"
)

// Counters count packets since ADD. One of the first six, which are named after verdicts,
// counts each packet.
type Counters struct {
	Passed             uint64 `json:"passed"`
	Rewritten          uint64 `json:"rewritten"`
	Dropped            uint64 `json:"dropped"`
	RepliesRestored    uint64 `json:"reply-restored"`
	ICMPErrorsRestored uint64 `json:"icmp-error-restored"`
	Malformed          uint64 `json:"malformed"`
	// PortsMoved counts connections that got another source port, PortsExhausted packets that
	// were dropped because no port was free.
	PortsMoved     uint64 `json:"portsMoved"`
	PortsExhausted uint64 `json:"portsExhausted"`
	// FlowsEvicted counts flows that were evicted for flows of this container,
	// FlowsEvictedLive those of them that had not expired.
	FlowsEvicted     uint64 `json:"flowsEvicted"`
	FlowsEvictedLive uint64 `json:"flowsEvictedLive"`
}

// Packets returns the number of all packets.
func (c *Counters) Packets() uint64 {
	return c.Passed + c.Rewritten + c.Dropped + c.RepliesRestored + c.ICMPErrorsRestored + c.Malformed
}

func (c *Counters) add(more *Counters) {
	c.Passed += more.Passed
	c.Rewritten += more.Rewritten
	c.Dropped += more.Dropped
	c.RepliesRestored += more.RepliesRestored
	c.ICMPErrorsRestored += more.ICMPErrorsRestored
	c.Malformed += more.Malformed
	c.PortsMoved += more.PortsMoved
	c.PortsExhausted += more.PortsExhausted
	c.FlowsEvicted += more.FlowsEvicted
	c.FlowsEvictedLive += more.FlowsEvictedLive
}

// ByVerdict returns the numbers of packets by the word of their verdict.
func (c *Counters) ByVerdict() map[string]uint64 {
	return map[string]uint64{
		trace.Passed.String():            c.Passed,
		trace.Rewritten.String():         c.Rewritten,
		trace.Dropped.String():           c.Dropped,
		trace.ReplyRestored.String():     c.RepliesRestored,
		trace.ICMPErrorRestored.String(): c.ICMPErrorsRestored,
		trace.Malformed.String():         c.Malformed,
	}
}
