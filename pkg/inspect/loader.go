package inspect

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// loader reads attachments one after another and shares what they have in common.
type loader struct {
	netns    veth.NetNS
	examiner *attachment.Examiner
	// descriptions are by folder of the ruleset.
	descriptions map[datapath.Dir]*described
}

func newLoader(netns veth.NetNS) *loader {
	return &loader{netns: netns, examiner: attachment.NewExaminer(netns), descriptions: map[datapath.Dir]*described{}}
}

func (r *loader) close() { r.examiner.Close() }

// read reads an attachment. If it seems damaged, read locks the state and reads it again.
// exists is false if it is not where it was listed.
func (r *loader) read(l *state.Listed) (a Attachment, exists bool, err error) {
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
	if _, err := os.Stat(string(l.Folder)); errors.Is(err, os.ErrNotExist) {
		return a, false, nil
	}
	again := newLoader(r.netns) // r has what it read before the lock
	defer again.close()
	a, _ = again.attachment(l)
	return a, true, nil
}

type described struct {
	ruleset *datapath.Description
	err     error
}

// attachment reads an attachment, and reports whether everything could be read and is intact.
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
	record, err := l.Folder.Record()
	if record != nil { // Examine reports the error as a problem
		a.Device, a.Index = health.Device.Name, record.Device.Index
		a.Mode, a.TCHook, a.AttachedAt = record.Mode.String(), record.Hook.String(), record.AttachedAt
		a.containerRules = record.ContainerRules
	}
	a.describe(r.description(l.RulesetFolder))
	counted := a.count(record, r.examiner)
	sound = len(a.Problems) == 0 && counted
	if err == nil && record.NetNS.Is(r.netns) && !a.Gone {
		record.Device = health.Device
		a.lookAhead(record) // does not depend on a change in progress
	}
	a.Healthy = len(a.Problems) == 0
	return a, sound
}

// interrupted describes an attachment after an interrupted change, from its record, since
// nothing is attached.
func (r *loader) interrupted(a Attachment) Attachment {
	a.Interrupted = true
	a.Problems = []string{"it has NO RULES: a change of its mode, tc hook or device was interrupted; " +
		"the next change of any container, or xdp-portctl gc, restores the old rules"}
	if record, err := a.folder.Kept(); err == nil {
		a.Device, a.Index = record.Device.Name, record.Device.Index
		a.Mode, a.TCHook, a.AttachedAt = record.Mode.String(), record.Hook.String(), record.AttachedAt
		a.containerRules = record.ContainerRules
	}
	a.describe(r.description(a.rulesetFolder))
	return a
}

// description reads the description of a ruleset once.
func (r *loader) description(folder datapath.Dir) *described {
	known := r.descriptions[folder]
	if known == nil {
		known = new(described)
		known.ruleset, known.err = folder.Description()
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

// count reads the counters, and reports whether they could be read. If the device is gone, it
// takes those accumulated from earlier rules: another device may have the index, and counters,
// by now.
func (a *Attachment) count(record *attachment.Record, examiner *attachment.Examiner) (counted bool) {
	if record == nil {
		a.Uncounted = errors.New("the record cannot be read")
		return false
	}
	counters := record.Accumulated
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
