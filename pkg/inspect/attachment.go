// Package inspect reads attachments, flows and traces from bpffs and the kernel into plain
// values, with the words of the configuration. It changes nothing.
//
// A damaged attachment is no error: it is among the values, with its problems.
package inspect

import (
	"cmp"
	"encoding/json"
	"slices"
	"time"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// Attachment describes the rules in force of one interface of a container.
type Attachment struct {
	Network   string `json:"network"`
	Container string `json:"container"`
	Interface string `json:"interface"`
	// Device and Index are of the host side of the veth.
	Device string `json:"device"`
	Index  int    `json:"ifindex"`
	// Mode and TCHook are what was obtained, which may differ from the configuration.
	Mode   string `json:"mode"`
	TCHook string `json:"tcHook"`
	// ChecksumHelper reports that the programs call a helper for checksums, because the kernel
	// does not let them read its packet buffer. See datapath.Description.
	ChecksumHelper bool `json:"checksumHelper"`
	// Ruleset identifies the loaded programs and maps. Attachments with the same rules share it.
	Ruleset string `json:"ruleset"`
	// Programs are in the order of Hooks.
	Programs []Program `json:"programs"`
	// AttachedAt is the time of ADD. A change of rules does not change it.
	AttachedAt time.Time `json:"attachedAt,omitzero"`
	Healthy    bool      `json:"healthy"`
	Problems   []string  `json:"problems,omitempty"`
	// ForeignAhead are foreign tc programs that see packets before the rules and may keep
	// packets from them. They are also among the problems.
	ForeignAhead []ForeignProgram `json:"foreignAhead,omitempty"`
	// Gone reports that the device does not exist any more: only pins are left.
	Gone bool `json:"gone,omitempty"`
	// Undetermined reports that it is not known whether the device exists.
	Undetermined bool `json:"undetermined,omitempty"`
	// Interrupted reports that the interface has no rules, because a change was interrupted.
	// See state.Listed.
	Interrupted bool `json:"-"`
	RuleCount   int  `json:"ruleCount"`
	// FlowLimit is the size of the ruleset's flow table.
	FlowLimit int `json:"flowLimit"`
	// Rules and Counters count since ADD.
	Rules    []Rule    `json:"rules,omitempty"`
	Counters *Counters `json:"counters,omitempty"`

	// Uncounted says why the counters cannot be read. It is nil if they can, or if there are
	// none.
	Uncounted error `json:"-"`

	folder         attachment.Folder
	rulesetFolder  datapath.Dir
	containerRules json.RawMessage
	decided        []rules.Rule // Rules before they were put into words
}

// Program is a program that is attached to the device.
type Program struct {
	// Hook is xdp, tc_ingress or tc_egress.
	Hook string `json:"hook"`
	ID   uint32 `json:"id"`
}

// Hooks are the hooks of a device, in the order of output.
var Hooks = []string{"xdp", "tc_ingress", "tc_egress"}

func compareHooks(a, b Program) int {
	return cmp.Compare(slices.Index(Hooks, a.Hook), slices.Index(Hooks, b.Hook))
}

// Key returns the key of the attachment in the state.
func (a *Attachment) Key() state.Key {
	return state.Key{Network: a.Network, Container: a.Container, Interface: a.Interface}
}

// ContainerRules returns the container's own rules as they were written: a JSON list, nil if
// there are none.
func (a *Attachment) ContainerRules() json.RawMessage { return a.containerRules }

// Summary returns the attachment without its rules and counters.
func (a Attachment) Summary() Attachment {
	a.Rules, a.Counters = nil, nil
	return a
}
