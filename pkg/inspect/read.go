package inspect

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Attachments reads all that is attached, in the order of network, container
// and interface. Without any state there is nothing, which is no error.
//
// Returns an error wrapping state.ErrBPFFS if no BPF file system is visible here,
// os.ErrPermission where the caller may not look,
// state.ErrBusy if somebody held the lock for too long.
func Attachments() ([]Attachment, error) {
	reader, err := state.OpenForReading()
	if errors.Is(err, os.ErrNotExist) {
		return nil, state.Visible()
	}
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	listed, err := reader.List()
	if err != nil {
		return nil, err
	}
	netns, err := veth.OwnNetNS()
	if err != nil {
		return nil, err
	}
	r := loader{netns: netns, descriptions: map[string]*described{}}
	list := make([]Attachment, len(listed))
	for i := range listed {
		list[i] = r.attachment(&listed[i])
	}
	markDuplicates(list)
	return list, nil
}

// loader reads attachments one after the other.
type loader struct {
	netns uint64
	// descriptions are by folder of the ruleset: many attachments share one.
	descriptions map[string]*described
}

type described struct {
	ruleset *datapath.Ruleset
	err     error
}

func (r *loader) attachment(l *state.Listed) Attachment {
	a := Attachment{
		Network: l.Key.Network, Container: l.Key.Container, Interface: l.Key.Interface,
		Ruleset: l.Ruleset, folder: l.Folder, rulesetFolder: l.RulesetFolder,
		Programs: []Program{},
	}
	health := datapath.Examine(l.Folder, l.RulesetFolder, r.netns)
	a.Gone, a.Problems = health.Gone, health.Problems
	for _, placed := range health.Placed {
		a.Programs = append(a.Programs, Program{Hook: placed.Hook, ID: uint32(placed.Program)})
	}
	slices.SortFunc(a.Programs, compareHooks)
	record, err := datapath.ReadRecord(l.Folder)
	if err == nil { // else it is among the problems
		a.Device, a.Index = record.Device.Name, record.Device.Index
		if record.NetNS == r.netns && !a.Gone {
			a.Device = record.Device.CurrentName()
		}
		a.Mode, a.TCHook, a.AttachedAt = record.Mode.String(), record.Hook.String(), record.AttachedAt
		a.containerRules = record.ContainerRules
	}
	a.describe(r.description(l.RulesetFolder))
	a.count(record)
	a.Healthy = len(a.Problems) == 0
	return a
}

func (r *loader) description(folder string) *described {
	known := r.descriptions[folder]
	if known == nil {
		known = new(described)
		known.ruleset, known.err = datapath.ReadDescription(folder)
		r.descriptions[folder] = known
	}
	return known
}

func (a *Attachment) describe(d *described) {
	if d.err != nil {
		a.Problems = append(a.Problems, fmt.Sprintf("its rules cannot be read: %v", d.err))
		return
	}
	a.decided = d.ruleset.Rules
	a.RuleCount, a.FlowLimit = len(a.decided), d.ruleset.Flows
	a.Rules = make([]Rule, a.RuleCount)
	for i := range a.decided {
		a.Rules[i] = RuleOf(i, &a.decided[i])
	}
}

// count reads the counters, or what of them is carried from earlier rules. An
// index of a device that is gone may be another's by now, counters and all.
func (a *Attachment) count(record *datapath.Record) {
	if record == nil {
		return
	}
	counted := record.Carried
	if !a.Gone {
		if live, err := datapath.ReadCounters(a.folder, a.rulesetFolder); err == nil {
			counted = live
		}
	}
	if counted == nil {
		return
	}
	a.Counters = &Counters{
		Passed: counted.Passed, Rewritten: counted.Rewritten, Dropped: counted.Dropped,
		RepliesRestored: counted.RepliesRestored, ICMPErrorsRestored: counted.ICMPErrorsRestored,
		Malformed: counted.Malformed, FlowConflicts: counted.FlowConflicts,
	}
	for i := range min(len(a.Rules), len(counted.Rules)) {
		a.Rules[i].Packets, a.Rules[i].Bytes = counted.Rules[i].Packets, counted.Rules[i].Bytes
	}
}

// markDuplicates finds interfaces that are attached under two rulesets, which
// only a change that failed half-way can leave.
func markDuplicates(list []Attachment) {
	for i := range list {
		same := func(other Attachment) bool {
			return other.Network == list[i].Network && other.Container == list[i].Container &&
				other.Interface == list[i].Interface && other.Ruleset != list[i].Ruleset
		}
		if i > 0 && same(list[i-1]) || i+1 < len(list) && same(list[i+1]) {
			list[i].Problems = append(list[i].Problems, "attached under another ruleset, too")
			list[i].Healthy = false
		}
	}
}

// Flows returns the live flows of an attachment, in the order of their
// local address and port.
func (a *Attachment) Flows() ([]Flow, error) {
	found, err := datapath.ReadFlows(a.rulesetFolder, a.Index)
	if err != nil {
		return nil, err
	}
	flows := make([]Flow, len(found))
	for i := range found {
		flows[i] = a.flow(&found[i])
	}
	slices.SortFunc(flows, compareFlows)
	return flows, nil
}
