package datapath

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/veth"
)

// filterHandle is the handle of our filters, not the 1 that others fight for.
const filterHandle = 0x7870 // "xp"

func (s side) clsactParent() uint32 {
	if s == egress {
		return netlink.HANDLE_MIN_EGRESS
	}
	return netlink.HANDLE_MIN_INGRESS
}

func clsactQdisc(ifindex int) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex,
		Handle:    netlink.MakeHandle(0xffff, 0),
		Parent:    netlink.HANDLE_CLSACT,
	}}
}

// clsactNeeded tells whether the device has no qdisc yet where clsact goes.
// Returns an error if there is another one: the ingress qdisc sits at the same
// place.
func clsactNeeded(dev Device) (bool, error) {
	kind, err := ingressQdisc(dev.Index)
	if err != nil {
		return false, fmt.Errorf("%w: the qdisc of %s cannot be asked for: %w", ErrAttach, dev.Name, err)
	}
	if kind == "ingress" {
		return false, fmt.Errorf("%w a clsact qdisc to %s, which has an ingress qdisc "+
			`(the bandwidth plugin's?): set "tcHook" to "tcx" (Linux 6.6) or take that plugin out of the chain`,
			ErrAttach, dev.Name)
	}
	return kind == "", nil
}

func addClsact(dev Device) error {
	if err := netlink.QdiscAdd(clsactQdisc(dev.Index)); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%w a clsact qdisc to %s: %w", ErrAttach, dev.Name, err)
	}
	return nil
}

// attachClsact adds a filter with the program, or exchanges the program of the
// one that this attachment has already.
func (r *Record) attachClsact(program *ebpf.Program, at side) error {
	filters, err := r.filtersAt(at)
	if err != nil {
		return fmt.Errorf("%w the tc program: %w", ErrAttach, err)
	}
	filter := r.filter(at)
	filter.Fd = program.FD()
	put := netlink.FilterReplace
	if existing := r.ownFilter(filters); existing != nil {
		filter.Priority = existing.Priority
	} else if other := r.otherFilter(filters); other != nil {
		return other
	} else {
		put = netlink.FilterAdd
		free := prioritiesOf(filters)
		filter.Priority = free.choose()
		if free.isFree(filter.Priority) { // else the order is for the kernel to say
			r.remember(filters, at)
		}
	}
	if err := put(filter); err != nil {
		return fmt.Errorf("%w the tc program to %s at clsact %s (priority %d, handle %#x: is another's filter there?): %w",
			ErrAttach, r.Device.Name, at, filter.Priority, filterHandle, err)
	}
	return nil
}

// remember spares Ahead asking again right after.
func (r *Record) remember(filters []netlink.Filter, at side) {
	if r.found == nil {
		r.found = map[side][]netlink.Filter{}
	}
	r.found[at] = filters
}

// filter describes the filter of this attachment, but for its priority, which is
// chosen when it is added. Its name tells it from all others, whatever became of
// the device's index and name.
func (r *Record) filter(at side) *netlink.BpfFilter {
	return &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: r.Device.Index,
			Parent:    at.clsactParent(),
			Handle:    filterHandle,
			Protocol:  unix.ETH_P_ALL,
		},
		Name:         r.filterName(),
		DirectAction: true,
	}
}

func (r *Record) filterName() string {
	if r.ID == 0 {
		return fmt.Sprintf("%s%d", filterPrefix, r.AttachedAt.UnixNano())
	}
	return fmt.Sprintf("%s%016x", filterPrefix, r.ID)
}

func (r *Record) hasFilter(at side) bool {
	return r.filterProgram(at) != 0
}

// hasAnyFilter tells whether this attachment has a filter on the device. A device
// that is gone has none.
func (r *Record) hasAnyFilter() (bool, error) {
	if r.Hook != Clsact {
		return false, nil
	}
	for _, at := range []side{ingress, egress} {
		filter, err := r.findFilter(at)
		if err != nil && !errors.Is(err, unix.ENODEV) {
			return false, fmt.Errorf("%w: %w", ErrAttach, err)
		}
		if filter != nil {
			return true, nil
		}
	}
	return false, nil
}

// filterProgram returns the id of the program in this attachment's filter, 0
// if there is none.
func (r *Record) filterProgram(at side) ebpf.ProgramID {
	filter, err := r.findFilter(at)
	if filter == nil || err != nil {
		return 0
	}
	return ebpf.ProgramID(filter.Id)
}

// findFilter returns this attachment's filter, nil if there is none.
func (r *Record) findFilter(at side) (*netlink.BpfFilter, error) {
	filters, err := r.filtersAt(at)
	return r.ownFilter(filters), err
}

func (r *Record) filtersAt(at side) ([]netlink.Filter, error) {
	filters, err := filtersAt(r.Device.Index, at)
	if err != nil {
		return nil, fmt.Errorf("list the filters of %s at clsact %s: %w", r.Device.Name, at, err)
	}
	return filters, nil
}

// ownFilter returns this attachment's among the filters, nil if it is not there.
func (r *Record) ownFilter(filters []netlink.Filter) *netlink.BpfFilter {
	for _, filter := range filters {
		if bpf, ok := filter.(*netlink.BpfFilter); ok && bpf.Name == r.filterName() {
			return bpf
		}
	}
	return nil
}

// otherFilter names the program of another attachment's filter, or returns nil.
func (r *Record) otherFilter(filters []netlink.Filter) error {
	for _, filter := range filters {
		bpf, ok := filter.(*netlink.BpfFilter)
		if ok && strings.HasPrefix(bpf.Name, filterPrefix) && bpf.Name != r.filterName() {
			id := ebpf.ProgramID(bpf.Id)
			return &ForeignError{Device: r.Device, ID: id, Name: programName(id), atTC: true}
		}
	}
	return nil
}

// removeClsact takes our filters off the device, and the qdisc if it was made
// for this attachment and nobody else has put a filter there since. All that
// goes with a device, so that one which is gone needs nothing.
func (r *Record) removeClsact() error {
	if r.Hook != Clsact {
		return nil
	}
	isOurs, err := r.removeFilters()
	if err != nil || !r.OwnsQdisc {
		return err
	}
	// Without filters the device may be another one by now, with a qdisc of its own.
	if !isOurs && !r.isAtIndex() {
		return nil
	}
	empty, err := isEmptyClsact(r.Device.Index)
	if empty && err == nil {
		err = ignoreGone(netlink.QdiscDel(clsactQdisc(r.Device.Index)))
	}
	if err != nil {
		return fmt.Errorf("%w the clsact qdisc of %s: %w", ErrDetach, r.Device.Name, err)
	}
	return nil
}

// removeFilters tells whether there were any.
func (r *Record) removeFilters() (any bool, err error) {
	for _, at := range []side{ingress, egress} {
		removed, failed := r.removeFilter(at)
		any, err = any || removed, errors.Join(err, failed)
	}
	return any, err
}

func (r *Record) removeFilter(at side) (removed bool, err error) {
	existing, err := r.findFilter(at)
	if existing != nil && err == nil {
		filter := r.filter(at)
		filter.Priority = existing.Priority
		err = ignoreGone(netlink.FilterDel(filter))
	}
	if err != nil {
		return false, fmt.Errorf("%w the filter of %s at clsact %s: %w", ErrDetach, r.Device.Name, at, err)
	}
	return existing != nil, nil
}

// isAtIndex tells whether the device is the one that has its index here.
func (r *Record) isAtIndex() bool {
	own, err := veth.OwnNetNS()
	if err != nil || !r.NetNS.Is(own) {
		return false
	}
	found := Interface{Device: r.Device}
	found.locateByIndex(r)
	return found.Presence == Here
}

// isEmptyClsact tells whether the device has a clsact qdisc without any filter.
func isEmptyClsact(ifindex int) (bool, error) {
	if kind, err := ingressQdisc(ifindex); err != nil || kind != "clsact" {
		return false, ignoreGone(err)
	}
	for _, at := range []side{ingress, egress} {
		filters, err := filtersAt(ifindex, at)
		if err != nil || len(filters) > 0 {
			return false, err
		}
	}
	return true, nil
}

func filtersAt(ifindex int, at side) ([]netlink.Filter, error) {
	device := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}
	return netlinksafe.FilterList(device, at.clsactParent())
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}
