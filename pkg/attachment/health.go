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

// Placed is a program at one of the points of an attachment.
type Placed struct {
	// Hook is xdp, tc_ingress or tc_egress.
	Hook string
	// Program is 0 if there is none.
	Program ebpf.ProgramID
}

// Health is the present state of an attachment and its problems.
type Health struct {
	Placed []Placed
	// Device is the host side, with its present name.
	Device hook.Device
	// Gone reports that the device does not exist any more. gc removes the attachment.
	Gone bool
	// Undetermined reports that this cannot be decided.
	Undetermined bool
	// Problems has a sentence for each problem.
	Problems []string
}

// Examiner examines attachments. It keeps the rulesets open that they share, since opening
// them takes most of the time.
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

// NewExaminer returns an examiner for a caller in this network namespace. It looks only at the
// links of attachments in other namespaces: their devices and filters are not visible.
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

// Counters is Folder.Counters.
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

// Examine looks at an attachment of a ruleset.
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

// healthOfNewer describes the attachment of a newer version by its links alone, since this
// build may misread the record.
func healthOfNewer(folder Folder, record *Record, err error) Health {
	health := Health{Device: record.Device, Gone: isDefunct(folder, false), Problems: []string{err.Error()}}
	for _, point := range hook.Points {
		if info, err := pin.LinkInfo(folder.path(point)); err == nil {
			health.Placed = append(health.Placed, Placed{Hook: string(point), Program: info.Program})
		}
	}
	return health
}

// openWholly opens the programs that the rules of the ruleset need, as Verify does.
func openWholly(dir datapath.Dir) (*datapath.Programs, error) {
	rs, err := dir.Description()
	if err != nil {
		return dir.OpenAll() // that it cannot be read is reported with the rules
	}
	return openToVerify(dir, rs.Hooks())
}

// isDefunct reports whether all links have lost their device. Without links it returns
// withoutLinks, since there may be filters.
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

// placed returns this attachment's program at the point.
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
