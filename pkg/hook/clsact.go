package hook

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// filterHandle is the handle of our filters. It is not 1, which other software often uses.
const filterHandle = 0x7870 // "xp"

// attachClsact adds a filter with the program, or replaces the program of the attachment's filter.
func (t Placement) attachClsact(program *ebpf.Program, at Side) error {
	filters, err := t.filtersAt(at)
	if err != nil {
		return fmt.Errorf("%w: attach the tc program: %w", ErrAttach, err)
	}
	filter := t.filter(at)
	filter.Fd = program.FD()
	put := netlink.FilterReplace
	if existing := t.ownFilter(filters); existing != nil {
		filter.Priority = existing.Priority
	} else if other := t.otherFilter(filters); other != nil {
		return other
	} else {
		put = netlink.FilterAdd
		free := prioritiesOf(filters)
		filter.Priority = free.choose()
		if free.isFree(filter.Priority) { // else the order is for the kernel to say
			t.record(filters, at)
		}
	}
	if err := put(filter); err != nil {
		return fmt.Errorf("%w: attach the tc program to %s at clsact %s (priority %d, handle %#x: is another's filter there?): %w",
			ErrAttach, t.Device.Name, at, filter.Priority, filterHandle, err)
	}
	return nil
}

// record keeps the filters for Ahead, which is called right after.
func (t Placement) record(filters []netlink.Filter, at Side) {
	if t.Seen == nil {
		return
	}
	if t.Seen.filters == nil {
		t.Seen.filters = map[Side][]netlink.Filter{}
	}
	t.Seen.filters[at] = filters
}

// filter describes the filter of this attachment without its priority, which is chosen when the
// filter is added.
func (t Placement) filter(at Side) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: t.Device.Index,
			Parent:    at.clsactParent(),
			Handle:    filterHandle,
			Protocol:  unix.ETH_P_ALL,
		},
		Name:         t.Filter,
		DirectAction: true,
	}
}

// HasFilter reports whether the attachment has a clsact filter. A device that is gone has none.
//
// Returns an error wrapping ErrInspect.
func (t Placement) HasFilter() (bool, error) {
	if t.Hook != Clsact {
		return false, nil
	}
	for _, at := range Sides {
		filter, err := t.findFilter(at)
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return false, fmt.Errorf("%w: %w", ErrInspect, err)
		}
		if filter != nil {
			return true, nil
		}
	}
	return false, nil
}

// FilterProgram returns the ID of the program in the attachment's filter, 0 without a filter.
func (t Placement) FilterProgram(at Side) ebpf.ProgramID {
	filter, err := t.findFilter(at)
	if filter == nil || err != nil {
		return 0
	}
	return ebpf.ProgramID(filter.Id)
}

// findFilter returns the attachment's filter, nil if there is none.
func (t Placement) findFilter(at Side) (*netlink.BpfFilter, error) {
	filters, err := t.filtersAt(at)
	return t.ownFilter(filters), err
}

func (t Placement) filtersAt(at Side) ([]netlink.Filter, error) {
	filters, err := filtersAt(t.Device.Index, at)
	if err != nil {
		return nil, fmt.Errorf("list the filters of %s at clsact %s: %w", t.Device.Name, at, err)
	}
	return filters, nil
}

// ownFilter returns the attachment's filter among filters, nil if there is none.
func (t Placement) ownFilter(filters []netlink.Filter) *netlink.BpfFilter {
	for _, filter := range filters {
		if bpf, ok := filter.(*netlink.BpfFilter); ok && bpf.Name == t.Filter {
			return bpf
		}
	}
	return nil
}

// otherFilter returns an error for the filter of another attachment, nil if there is none.
func (t Placement) otherFilter(filters []netlink.Filter) error {
	for _, filter := range filters {
		bpf, ok := filter.(*netlink.BpfFilter)
		if ok && strings.HasPrefix(bpf.Name, FilterPrefix) && bpf.Name != t.Filter {
			id := ebpf.ProgramID(bpf.Id)
			return &ForeignError{Device: t.Device, ID: id, Name: ProgramName(id), atTC: true}
		}
	}
	return nil
}

// RemoveFilters removes the clsact filters of the attachment, and reports whether there were any.
//
// Returns an error wrapping ErrDetach.
func (t Placement) RemoveFilters() (any bool, err error) {
	for _, at := range Sides {
		removed, failed := t.RemoveFilter(at)
		any, err = any || removed, errors.Join(err, failed)
	}
	return any, err
}

// RemoveFilter is RemoveFilters for one side.
func (t Placement) RemoveFilter(at Side) (removed bool, err error) {
	existing, err := t.findFilter(at)
	if existing != nil && err == nil {
		filter := t.filter(at)
		filter.Priority = existing.Priority
		err = ignoreGone(netlink.FilterDel(filter))
	}
	if err != nil {
		return false, fmt.Errorf("%w: remove the filter of %s at clsact %s: %w", ErrDetach, t.Device.Name, at, err)
	}
	return existing != nil, nil
}
