package datapath

import (
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Ahead returns the foreign tc programs that run before those of the attachment
// in folder, of the ruleset pinned in dir, at these hooks, and may end the chain:
// packets may then pass the rules by. A hook where the attachment has nothing
// yet counts as if it had.
//
// Returns an error wrapping ErrAttach if the kernel cannot be asked.
func Ahead(folder, dir string, hooks Hooks) ([]ForeignTC, error) {
	record, err := ReadRecord(folder)
	if err != nil {
		return nil, err
	}
	return record.Ahead(folder, dir, hooks)
}

// Ahead is the function Ahead for an attachment that has this record.
func (r *Record) Ahead(folder, dir string, hooks Hooks) ([]ForeignTC, error) {
	var all []ForeignTC
	for _, at := range hooks.tcSides() {
		found, err := r.aheadAt(folder, dir, at)
		if err != nil {
			return nil, fmt.Errorf("%w: ask who is ahead at tc %s of %s: %w", ErrAttach, at, r.Device.Name, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// tcSides are the sides on which the hooks have a tc program.
func (h Hooks) tcSides() (sides []side) {
	if h.TCIngress {
		sides = append(sides, ingress)
	}
	if h.TCEgress {
		sides = append(sides, egress)
	}
	return sides
}

func (s side) pin() string {
	if s == egress {
		return pinTCEgress
	}
	return pinTCIngress
}

// aheadAt looks at tcx, all of which runs before clsact, and at the filters that
// are in front of ours.
func (r *Record) aheadAt(folder, dir string, at side) ([]ForeignTC, error) {
	found, err := r.settledAtTCX(folder, dir, at)
	if err != nil || r.Hook != Clsact {
		return found, err
	}
	filters, known := r.found[at]
	if !known {
		if filters, err = filtersAt(r.Device.Index, at); err != nil && !isAbsent(err) {
			return nil, err
		}
	}
	return append(found, r.aheadAtClsact(filters, at)...), nil
}

// settledAtTCX waits for programs of ours that the kernel is still taking off: they
// are pinned no more, but have our names.
func (r *Record) settledAtTCX(folder, dir string, at side) (found []ForeignTC, err error) {
	for range tcxTries {
		found, err = r.aheadAtTCX(folder, dir, at)
		if !slices.ContainsFunc(found, func(f ForeignTC) bool { return isOwnName(f.Name) }) {
			break
		}
		time.Sleep(busyPause)
	}
	return found, err
}

func (r *Record) aheadAtTCX(folder, dir string, at side) ([]ForeignTC, error) {
	before, err := r.programsAtTCX(at)
	if err != nil {
		return nil, err
	}
	if r.Hook != Clsact {
		before = before[:max(0, r.ownIndex(before, folder, at))]
	}
	if len(before) == 0 {
		return nil, nil
	}
	ours := pinnedTCPrograms(dir)
	var found []ForeignTC
	for _, program := range before {
		if !ours[program.ID] {
			found = append(found, foreignAtTCX(r.Device, program.ID, at))
		}
	}
	return found, nil
}

func (r *Record) programsAtTCX(at side) ([]link.AttachedProgram, error) {
	if r.noTCX[at] {
		return nil, nil
	}
	attached, err := link.QueryPrograms(link.QueryOptions{Target: r.Device.Index, Attach: at.tcx()})
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return attached.Programs, nil
}

// ownIndex is where the link of the attachment is among those of the hook, -1 if
// it is not: that is a problem of its own.
func (r *Record) ownIndex(programs []link.AttachedProgram, folder string, at side) int {
	if len(programs) == 0 {
		return -1
	}
	info, err := linkInfo(filepath.Join(folder, at.pin()))
	if err != nil {
		return -1
	}
	return slices.IndexFunc(programs, func(p link.AttachedProgram) bool {
		id, ok := p.LinkID()
		return ok && id == info.ID
	})
}

// aheadAtClsact goes by the order of the kernel's list, in which packets pass
// filters.
func (r *Record) aheadAtClsact(filters []netlink.Filter, at side) []ForeignTC {
	own := r.ownFilter(filters)
	priority := prioritiesOf(filters).choose()
	var found []ForeignTC
	for _, filter := range filters {
		if own != nil && filter == netlink.Filter(own) {
			break
		}
		isBefore := own != nil || filter.Attrs().Priority < priority
		if isBefore && isForeign(filter) && mayEndChain(filter) {
			found = append(found, foreignFilter(r.Device, filter, at))
		}
	}
	return slices.Compact(found) // u32 has one for each of its keys
}

// CanBeFirst tells whether an attachment that foreign programs are ahead of would
// be ahead of them if it were attached anew, by the wanted hook.
func CanBeFirst(folder string, wanted TCHook, ahead []ForeignTC) bool {
	record, err := ReadRecord(folder)
	if err != nil {
		return false
	}
	if wanted == AutoHook {
		if wanted, err = bestHook(); err != nil {
			return false
		}
	}
	if wanted == TCX {
		return true
	}
	return !slices.ContainsFunc(ahead, func(f ForeignTC) bool {
		return f.Kind == TCX || !record.hasPriorityAhead(f)
	})
}

// hasPriorityAhead tells whether a new filter of ours would be ahead of a foreign
// one. Ours is the first one of its priority.
func (r *Record) hasPriorityAhead(f ForeignTC) bool {
	filters, err := filtersAt(r.Device.Index, sideOf(f.Hook))
	return err == nil && prioritiesOf(filters).choose() <= f.Priority
}
