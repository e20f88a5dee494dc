package attachment

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Placed is a program at one of the hooks of an attachment.
type Placed struct {
	// Hook is xdp, tc_ingress or tc_egress.
	Hook string
	// Program is 0 where there is none any more.
	Program ebpf.ProgramID
}

// Health is what there is of an attachment, and what is wrong with it.
type Health struct {
	Placed []Placed
	// Device is the host side, as it is called now.
	Device hook.Device
	// Gone tells that its device is not there any more, so that nothing can
	// come of it: it is to be collected.
	Gone bool
	// Undetermined tells that nobody can tell whether it is gone.
	Undetermined bool
	// Problems has a sentence each; it is empty where all is as ADD left it.
	Problems []string
}

// Examiner examines attachments one after the other. It keeps the rulesets open that
// they share, which takes longer than all else.
//
// The caller must Close it. It sees rulesets as they were when it opened them.
type Examiner struct {
	netns  veth.NetNS
	opened map[datapath.Dir]openedRuleset
}

type openedRuleset struct {
	programs *datapath.Programs
	err      error
}

// NewExaminer returns an examiner for a caller in this network namespace. Of
// attachments in others it looks at the links only: their devices and filters cannot
// be seen from here.
func NewExaminer(netns veth.NetNS) *Examiner {
	return &Examiner{netns: netns, opened: map[datapath.Dir]openedRuleset{}}
}

// Close closes the rulesets.
func (e *Examiner) Close() {
	for _, ruleset := range e.opened {
		if ruleset.err == nil {
			_ = ruleset.programs.Close()
		}
	}
}

// open opens the ruleset pinned in dir.
func (e *Examiner) open(dir datapath.Dir) (*datapath.Programs, error) {
	ruleset, known := e.opened[dir]
	if !known {
		ruleset.programs, ruleset.err = openWholly(dir)
		e.opened[dir] = ruleset
	}
	return ruleset.programs, ruleset.err
}

// Counters is ReadCounters.
func (e *Examiner) Counters(folder Folder, ruleset datapath.Dir) (*datapath.Counters, error) {
	programs, err := e.open(ruleset)
	if err != nil { // what is missing may not be the counters
		return folder.Counters(ruleset)
	}
	record, err := folder.Record()
	if err != nil {
		return nil, err
	}
	return totals(programs, record)
}

// Examine looks at the attachment in folder, of the ruleset pinned in dir.
func (e *Examiner) Examine(folder Folder, ruleset datapath.Dir) Health {
	record, err := folder.Record()
	if errors.Is(err, pin.ErrNewer) {
		return healthOfNewer(folder, record, err)
	}
	if err != nil {
		return Health{
			Gone:     isDefunct(folder, errors.Is(err, os.ErrNotExist)),
			Problems: []string{fmt.Sprintf("it has no record: %v", err)},
		}
	}
	found := folder.Locate(record, e.netns)
	health := Health{Device: found.Device, Gone: found.Presence == Gone, Undetermined: found.Presence == Undetermined}
	if found.Why != "" {
		health.Problems = append(health.Problems, found.Why)
	}
	if health.Gone {
		return health
	}
	programs, err := e.open(ruleset)
	if err != nil {
		health.Problems = append(health.Problems, fmt.Sprintf("its ruleset is damaged: %v", err))
		return health
	}
	health.examine(programs, record, folder, found.Presence == Here)
	return health
}

// healthOfNewer is for the attachment of a newer version. Its links alone say what there
// is, and whether its device is gone: what else would tell may be in the record.
func healthOfNewer(folder Folder, record *Record, err error) Health {
	health := Health{Device: record.Device, Gone: isDefunct(folder, false), Problems: []string{err.Error()}}
	for _, point := range hook.Points {
		if info, err := pin.LinkInfo(folder.path(point)); err == nil {
			health.Placed = append(health.Placed, Placed{Hook: string(point), Program: info.Program})
		}
	}
	return health
}

// openWholly opens the programs that the rules of the ruleset pinned in dir need,
// as Verify does.
func openWholly(dir datapath.Dir) (*datapath.Programs, error) {
	rs, err := dir.Description()
	if err != nil {
		return dir.OpenAll() // that it cannot be read is reported with the rules
	}
	return openToVerify(dir, rs.Hooks())
}

// isDefunct tells whether links have lost their device; without any link it is
// what the caller says: there may be filters.
func isDefunct(folder Folder, withoutLinks bool) bool {
	index, links, err := placedLinks(folder)
	if err != nil || links == 0 {
		return err == nil && withoutLinks
	}
	return index == 0
}

func (h *Health) examine(p *datapath.Programs, record *Record, folder Folder, here bool) {
	if err := record.Mode.Check(); err != nil { // it was attached by an older version
		h.Problems = append(h.Problems, err.Error())
	}
	for _, slot := range slotsOf(p) {
		if slot.program == nil || slot.isFilter(record) && !here {
			continue
		}
		h.Placed = append(h.Placed, Placed{Hook: string(slot.point), Program: slot.placed(record, folder)})
		if problem := slot.problem(record, folder); problem != "" {
			h.Problems = append(h.Problems, problem)
		}
	}
	if problem := problemOfActivation(p, record); problem != "" {
		h.Problems = append(h.Problems, problem)
	}
}

// placed returns the program that is at the hook by this attachment.
func (s slot) placed(record *Record, folder Folder) ebpf.ProgramID {
	if s.isFilter(record) {
		return record.placement().FilterProgram(s.point.Side())
	}
	info, err := pin.LinkInfo(folder.path(s.point))
	if err != nil || pin.LinkIndex(info) != record.Device.Index {
		return 0
	}
	return info.Program
}
