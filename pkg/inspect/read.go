package inspect

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Attachments reads all that is attached, in the order of network, container
// and interface. Without any state there is nothing, which is no error.
//
// Nobody waits for it: it holds the state's lock while it lists folders, and while
// it looks once more at an attachment that seems damaged, which may only be in the
// middle of a change.
//
// Returns an error wrapping bpffs.ErrUnusable if no BPF file system is visible here,
// os.ErrPermission where the caller may not look,
// bpffs.ErrBusy if somebody held the lock for too long.
func Attachments() ([]Attachment, error) {
	netns, err := veth.OwnNetNS()
	if err != nil {
		return nil, err
	}
	known := map[string]Attachment{} // by folder
	for round := 1; ; round++ {
		listed, err := state.Snapshot()
		if errors.Is(err, os.ErrNotExist) {
			return nil, bpffs.Visible()
		}
		if err != nil {
			return nil, err
		}
		list, missed, err := readListed(listed, known, netns)
		if err != nil {
			return nil, err
		}
		// Who has missed some of what moved looks again.
		if !missed || round == mostRounds {
			markDuplicates(list)
			return list, nil
		}
	}
}

// mostRounds bounds how often attachments are listed again because one moved.
const mostRounds = 5

// readListed reads what is not known yet, and tells whether any of it is not there
// any more: it was removed, or moved to another ruleset.
func readListed(listed []state.Listed, known map[string]Attachment, netns veth.NetNS) (list []Attachment, missed bool, err error) {
	l := newLoader(netns)
	defer l.close()
	for i := range listed {
		a, isKnown := known[listed[i].Folder]
		if !isKnown {
			isThere := false
			if a, isThere, err = l.read(&listed[i]); err != nil {
				return nil, false, err
			}
			if !isThere {
				missed = true
				continue
			}
			known[listed[i].Folder] = a
		}
		list = append(list, a)
	}
	return list, missed, nil
}

// loader reads attachments one after the other.
type loader struct {
	netns    veth.NetNS
	examiner *attachment.Examiner
	// descriptions are by folder of the ruleset: many attachments share one.
	descriptions map[string]*described
}

func newLoader(netns veth.NetNS) *loader {
	return &loader{netns: netns, examiner: attachment.NewExaminer(netns), descriptions: map[string]*described{}}
}

func (r *loader) close() { r.examiner.Close() }

// read reads an attachment, once more while nobody changes anything if it is not
// as it should be. isThere is false if it is not where it was listed.
func (r *loader) read(l *state.Listed) (a Attachment, isThere bool, err error) {
	if a, sound := r.attachment(l); sound {
		return a, true, nil
	}
	reader, err := state.OpenForReading()
	if errors.Is(err, os.ErrNotExist) {
		return a, false, nil
	}
	if err != nil {
		return a, false, err
	}
	defer reader.Close()
	if _, err := os.Stat(l.Folder); errors.Is(err, os.ErrNotExist) {
		return a, false, nil
	}
	again := newLoader(r.netns) // what is remembered may be of before
	defer again.close()
	a, _ = again.attachment(l)
	return a, true, nil
}

type described struct {
	ruleset *datapath.Description
	err     error
}

// attachment reads an attachment as it is found, and tells whether all of it could
// be had and is as it should be.
func (r *loader) attachment(l *state.Listed) (a Attachment, sound bool) {
	a = Attachment{
		Network: l.Key.Network, Container: l.Key.Container, Interface: l.Key.Interface,
		Ruleset: l.Ruleset, folder: l.Folder, rulesetFolder: l.RulesetFolder,
		Programs: []Program{},
	}
	if l.Interrupted {
		return r.interrupted(a), false
	}
	health := r.examiner.Examine(l.Folder, l.RulesetFolder)
	a.Gone, a.Undetermined, a.Problems = health.Gone, health.Undetermined, health.Problems
	for _, placed := range health.Placed {
		a.Programs = append(a.Programs, Program{Hook: placed.Hook, ID: uint32(placed.Program)})
	}
	slices.SortFunc(a.Programs, compareHooks)
	record, err := attachment.ReadRecord(l.Folder)
	if err == nil { // else it is among the problems
		a.Device, a.Index = health.Device.Name, record.Device.Index
		a.Mode, a.TCHook, a.AttachedAt = record.Mode.String(), record.Hook.String(), record.AttachedAt
		a.containerRules = record.ContainerRules
	}
	a.describe(r.description(l.RulesetFolder))
	counted := a.count(record, r.examiner)
	sound = len(a.Problems) == 0 && counted
	if record != nil && record.NetNS.Is(r.netns) && !a.Gone {
		record.Device = health.Device
		a.lookAhead(record) // which is no matter of who changes what meanwhile
	}
	a.Healthy = len(a.Problems) == 0
	return a, sound
}

// interrupted describes what is to be attached, and is not.
func (r *loader) interrupted(a Attachment) Attachment {
	a.Interrupted = true
	a.Problems = []string{"it has NO RULES: a change of its mode, tc hook or device was interrupted; " +
		"the next change of any container puts the old ones back, or xdp-portctl gc"}
	if record, err := attachment.ReadKept(a.folder); err == nil {
		a.Device, a.Index = record.Device.Name, record.Device.Index
		a.Mode, a.TCHook, a.AttachedAt = record.Mode.String(), record.Hook.String(), record.AttachedAt
		a.containerRules = record.ContainerRules
	}
	a.describe(r.description(a.rulesetFolder))
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
	a.decided, a.ChecksumHelper = d.ruleset.Rules, d.ruleset.ChecksumHelper
	a.RuleCount, a.FlowLimit = len(a.decided), d.ruleset.Flows
	a.Rules = make([]Rule, a.RuleCount)
	for i := range a.decided {
		a.Rules[i] = RuleOf(i, &a.decided[i])
	}
}

// count reads the counters, or what of them is carried from earlier rules. An
// index of a device that is gone may be another's by now, counters and all. It
// tells whether the counters could be read.
func (a *Attachment) count(record *attachment.Record, examiner *attachment.Examiner) (counted bool) {
	if record == nil {
		a.Uncounted = errors.New("there is no record that can be read")
		return false
	}
	counters := record.Carried
	if !a.Gone {
		live, err := examiner.Counters(a.folder, a.rulesetFolder)
		if err == nil {
			counters, counted = live, true
		} else if !errors.Is(err, ebpf.ErrKeyNotExist) {
			a.Uncounted = err
		}
	}
	if counters == nil {
		return counted
	}
	a.Counters = &Counters{
		Passed: counters.Passed, Rewritten: counters.Rewritten, Dropped: counters.Dropped,
		RepliesRestored: counters.RepliesRestored, ICMPErrorsRestored: counters.ICMPErrorsRestored,
		Malformed:  counters.Malformed,
		PortsMoved: counters.PortsMoved, PortsExhausted: counters.PortsExhausted,
		FlowsEvicted: counters.FlowsEvicted, FlowsEvictedLive: counters.FlowsEvictedLive,
	}
	for i := range min(len(a.Rules), len(counters.Rules)) {
		a.Rules[i].Packets, a.Rules[i].Bytes = counters.Rules[i].Packets, counters.Rules[i].Bytes
	}
	return counted
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
	found, err := flow.Read(a.rulesetFolder, a.Index)
	if err != nil {
		return nil, err
	}
	var flows []Flow
	for i := range found {
		if !found[i].IsExpired {
			flows = append(flows, a.flow(&found[i]))
		}
	}
	slices.SortFunc(flows, compareFlows)
	return flows, nil
}
