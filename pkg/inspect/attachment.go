// Package inspect reads what xdp-port has attached, out of bpffs and the
// kernel, into plain values that can be shown, and changes nothing.
//
// What is damaged or half gone is no error: it is among the values, with its
// problems.
package inspect

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/trace"
)

// Attachment is the rules of one interface of one container, as they are in
// force.
type Attachment struct {
	Network   string `json:"network"`
	Container string `json:"container"`
	Interface string `json:"interface"`
	// Device is the host side of the veth, Index its index.
	Device string `json:"device"`
	Index  int    `json:"ifindex"`
	// Mode and TCHook are what was obtained, not what was asked for.
	Mode   string `json:"mode"`
	TCHook string `json:"tcHook"`
	// ChecksumHelper tells that the kernel did not let the programs read its packet
	// buffer, so that they call a helper for checksums, see datapath.Description.
	ChecksumHelper bool `json:"checksumHelper"`
	// Ruleset names the loaded programs and maps, which others may share.
	Ruleset string `json:"ruleset"`
	// Programs are in the order of Hooks.
	Programs []Program `json:"programs"`
	// AttachedAt is when ADD ran; a change of rules alone does not count.
	AttachedAt time.Time `json:"attachedAt,omitzero"`
	Healthy    bool      `json:"healthy"`
	Problems   []string  `json:"problems,omitempty"`
	// ForeignAhead are foreign tc programs that see packets before the container's
	// rules and may keep them from those. They are among the problems.
	ForeignAhead []ForeignProgram `json:"foreignAhead,omitempty"`
	// Gone tells that there is nothing left of it but what is pinned.
	Gone bool `json:"gone,omitempty"`
	// Undetermined tells that nobody can tell whether it is gone.
	Undetermined bool `json:"undetermined,omitempty"`
	// Interrupted tells that it is without rules, see state.Listed.
	Interrupted bool `json:"-"`
	RuleCount   int  `json:"ruleCount"`
	// FlowLimit is how many flows the ruleset remembers.
	FlowLimit int `json:"flowLimit"`
	// Rules and Counters are those of the container since ADD.
	Rules    []Rule    `json:"rules,omitempty"`
	Counters *Counters `json:"counters,omitempty"`

	// Uncounted is why the counters cannot be read, nil where they can, or where there
	// are none.
	Uncounted error `json:"-"`

	folder, rulesetFolder string
	containerRules        json.RawMessage
	decided               []rules.Rule // what Rules are in words
}

// Program is one that is attached for a container, shared or not.
type Program struct {
	// Hook is xdp, tc_ingress or tc_egress.
	Hook string `json:"hook"`
	ID   uint32 `json:"id"`
}

// Hooks are the hooks of a device, in the order in which they are shown.
var Hooks = []string{"xdp", "tc_ingress", "tc_egress"}

func compareHooks(a, b Program) int {
	return cmp.Compare(slices.Index(Hooks, a.Hook), slices.Index(Hooks, b.Hook))
}

// Counters are numbers of packets since ADD, each packet in one of the first
// six. In JSON those are named by the verdict, in the words of a trace.
type Counters struct {
	Passed             uint64 `json:"passed"`
	Rewritten          uint64 `json:"rewritten"`
	Dropped            uint64 `json:"dropped"`
	RepliesRestored    uint64 `json:"reply-restored"`
	ICMPErrorsRestored uint64 `json:"icmp-error-restored"`
	Malformed          uint64 `json:"malformed"`
	// PortsMoved counts connections whose source port was changed, PortsExhausted
	// packets dropped because none was free.
	PortsMoved     uint64 `json:"portsMoved"`
	PortsExhausted uint64 `json:"portsExhausted"`
	// FlowsEvicted counts flows that made room for this container's, FlowsEvictedLive
	// those of them that had not expired.
	FlowsEvicted     uint64 `json:"flowsEvicted"`
	FlowsEvictedLive uint64 `json:"flowsEvictedLive"`
}

// Packets is the number of all packets.
func (c *Counters) Packets() uint64 {
	return c.Passed + c.Rewritten + c.Dropped + c.RepliesRestored + c.ICMPErrorsRestored + c.Malformed
}

// Verdicts are all verdicts, in the order in which they are shown.
var Verdicts = []trace.Verdict{
	trace.Passed, trace.Rewritten, trace.Dropped,
	trace.ReplyRestored, trace.ICMPErrorRestored, trace.Malformed,
}

// VerdictOf is the verdict on the packets that a rule with this action decides.
func VerdictOf(action rules.Action) trace.Verdict {
	switch action {
	case rules.Rewrite:
		return trace.Rewritten
	case rules.Drop:
		return trace.Dropped
	default:
		return trace.Passed
	}
}

// ByVerdict are the numbers of packets by the words of verdicts, as a trace has
// them too.
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

// Key is what the state knows the attachment by.
func (a *Attachment) Key() state.Key {
	return state.Key{Network: a.Network, Container: a.Container, Interface: a.Interface}
}

// ContainerRules are those of the rules that are the container's own, as they
// were written, a list; nil if there are none.
func (a *Attachment) ContainerRules() json.RawMessage { return a.containerRules }

// Summary returns the attachment without its rules and counters.
func (a Attachment) Summary() Attachment {
	a.Rules, a.Counters = nil, nil
	return a
}
