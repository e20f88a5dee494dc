package hook

import (
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// Ahead returns the foreign tc programs on a side of the device that run before those of the
// attachment and may end the chain. It treats a side without a program of the attachment as if
// there were one. path is the pin of the attachment's link. isOurs returns the programs of
// xdp-port.
//
// All of tcx runs before clsact.
func (t Placement) Ahead(at Side, path string, isOurs func() map[ebpf.ProgramID]bool) ([]ForeignTC, error) {
	found, err := t.stableAtTCX(at, path, isOurs)
	if err != nil || t.Hook != Clsact {
		return found, err
	}
	filters, err := t.filtersToCompare(at)
	if err != nil {
		return nil, err
	}
	return append(found, t.aheadAtClsact(filters, at)...), nil
}

func (t Placement) filtersToCompare(at Side) ([]netlink.Filter, error) {
	if t.Seen != nil {
		if filters, known := t.Seen.filters[at]; known {
			return filters, nil
		}
	}
	filters, err := filtersAt(t.Device.Index, at)
	if isAbsent(err) {
		err = nil
	}
	return filters, err
}

// stableAtTCX waits for programs of xdp-port that the kernel has not detached yet. Their pins
// are gone, but they have our names.
func (t Placement) stableAtTCX(at Side, path string, isOurs func() map[ebpf.ProgramID]bool) (found []ForeignTC, err error) {
	for range tcxTries {
		found, err = t.aheadAtTCX(at, path, isOurs)
		if !slices.ContainsFunc(found, func(f ForeignTC) bool { return bpf.IsOwnName(f.Name) }) {
			break
		}
		time.Sleep(busyPause)
	}
	return found, err
}

func (t Placement) aheadAtTCX(at Side, path string, isOurs func() map[ebpf.ProgramID]bool) ([]ForeignTC, error) {
	before, err := t.programsAtTCX(at)
	if err != nil {
		return nil, err
	}
	if t.Hook != Clsact {
		before = before[:max(0, indexOfLink(before, path))]
	}
	if len(before) == 0 {
		return nil, nil
	}
	ours := isOurs()
	var found []ForeignTC
	for _, program := range before {
		if !ours[program.ID] {
			found = append(found, foreignAtTCX(t.Device, program.ID, at))
		}
	}
	return found, nil
}

// indexOfLink returns the position of the pinned link among those of the hook, or -1.
func indexOfLink(programs []link.AttachedProgram, path string) int {
	if len(programs) == 0 {
		return -1
	}
	info, err := pin.LinkInfo(path)
	if err != nil {
		return -1
	}
	return slices.IndexFunc(programs, func(p link.AttachedProgram) bool {
		id, ok := p.LinkID()
		return ok && id == info.ID
	})
}

// aheadAtClsact follows the kernel's list of filters, which has the order in which packets pass them.
func (t Placement) aheadAtClsact(filters []netlink.Filter, at Side) []ForeignTC {
	own := t.ownFilter(filters)
	priority := prioritiesOf(filters).choose()
	var found []ForeignTC
	for _, filter := range filters {
		if own != nil && filter == netlink.Filter(own) {
			break
		}
		isBefore := own != nil || filter.Attrs().Priority < priority
		if isBefore && isForeign(filter) && mayEndChain(filter) {
			found = append(found, foreignFilter(t.Device, filter, at))
		}
	}
	return slices.Compact(found) // u32 has one for each of its keys
}

// CanPrecede reports whether a new filter of ours would be ahead of a foreign one. It would be
// the first filter of its priority.
func (t Placement) CanPrecede(f ForeignTC) bool {
	filters, err := filtersAt(t.Device.Index, Point(f.Hook).Side())
	return err == nil && prioritiesOf(filters).choose() <= f.Priority
}

func (t Placement) programsAtTCX(at Side) ([]link.AttachedProgram, error) {
	if t.Seen != nil && t.Seen.noTCX[at] {
		return nil, nil
	}
	attached, err := link.QueryPrograms(link.QueryOptions{Target: t.Device.Index, Attach: at.tcx()})
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return attached.Programs, nil
}
