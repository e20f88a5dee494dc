package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
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
	// Gone tells that its device is not there any more, so that nothing can
	// come of it: it is to be collected.
	Gone bool
	// Problems has a sentence each; it is empty where all is as ADD left it.
	Problems []string
}

// Examine looks at the attachment in folder, of the ruleset pinned in dir. Of
// one in another network namespace than the given one, the caller's, only the
// links are looked at: its device and its filters cannot be seen from here.
func Examine(folder, dir string, netns uint64) Health {
	record, err := ReadRecord(folder)
	if err != nil {
		return Health{
			Gone:     isDefunct(folder, errors.Is(err, os.ErrNotExist)),
			Problems: []string{fmt.Sprintf("it has no record: %v", err)},
		}
	}
	here := record.NetNS == netns
	if isGone(folder, record, here) {
		return Health{Gone: true, Problems: []string{
			fmt.Sprintf("its device %s (index %d) is gone", record.Device.Name, record.Device.Index),
		}}
	}
	programs, err := OpenAll(dir)
	if err != nil {
		return Health{Problems: []string{fmt.Sprintf("its ruleset is damaged: %v", err)}}
	}
	defer programs.Close()
	return programs.examine(record, folder, here)
}

// isGone tells whether the device is not there any more: by a link that was on
// it, where it cannot be seen.
func isGone(folder string, record *Record, here bool) bool {
	if here {
		exists, err := record.Device.Exists()
		return !exists && err == nil && isDefunct(folder, true) // it may have another name
	}
	return isDefunct(folder, false)
}

// isDefunct tells whether a link has lost its device; without any link it is
// what the caller says: there may be filters.
func isDefunct(folder string, withoutLinks bool) bool {
	for _, pin := range []string{pinXDP, pinTCIngress, pinTCEgress} {
		if info, err := linkInfo(filepath.Join(folder, pin)); err == nil {
			return linkIndex(info) == 0
		}
	}
	return withoutLinks
}

func linkInfo(pin string) (*link.Info, error) {
	l, err := link.LoadPinnedLink(pin, nil)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	return l.Info()
}

func (p *Programs) examine(record *Record, folder string, here bool) Health {
	var health Health
	for _, point := range p.hookPoints(record) {
		if point.program == nil || point.isFilter(record) && !here {
			continue
		}
		health.Placed = append(health.Placed, Placed{Hook: point.pin, Program: point.placed(record, folder)})
		if problem := point.problem(record, folder); problem != "" {
			health.Problems = append(health.Problems, problem)
		}
	}
	if !p.isActive(record.Device) {
		health.Problems = append(health.Problems, fmt.Sprintf("the programs do not heed %s: it is not in their map %s",
			record.Device.Name, programsMapCounters))
	}
	return health
}

// isFilter tells whether the hook has a clsact filter, and no link.
func (h hookPoint) isFilter(record *Record) bool { return record.Hook == Clsact && h.pin != pinXDP }

// placed returns the program that is at the hook by this attachment.
func (h hookPoint) placed(record *Record, folder string) ebpf.ProgramID {
	if h.isFilter(record) {
		return record.filterProgram(sideOf(h.pin))
	}
	info, err := linkInfo(filepath.Join(folder, h.pin))
	if err != nil || linkIndex(info) != record.Device.Index {
		return 0
	}
	return info.Program
}
