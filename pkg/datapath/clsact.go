package datapath

import (
	"errors"
	"fmt"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Priority and handle of our filters. Early, because another's filter may end
// the walk, but not the 1 and 1 that others fight for.
const (
	filterPriority = 2
	filterHandle   = 0x7870 // "xp"
)

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

// ensureClsact tells whether it had to create the qdisc, and so has to remove
// it some day. The ingress qdisc sits at the same place, so both cannot be.
func ensureClsact(dev Device) (created bool, err error) {
	err = netlink.QdiscAdd(clsactQdisc(dev.Index))
	switch {
	case err == nil:
		return true, nil
	case !errors.Is(err, unix.EEXIST):
		return false, fmt.Errorf("%w a clsact qdisc to %s: %w", ErrAttach, dev.Name, err)
	case hasClsact(dev):
		return false, nil
	}
	return false, fmt.Errorf("%w a clsact qdisc to %s, which has an ingress qdisc "+
		`(the bandwidth plugin's?): set "tcHook" to "tcx" (Linux 6.6) or take that plugin out of the chain`,
		ErrAttach, dev.Name)
}

// attachClsact puts the program into our filter, in the place of another if
// there is one.
func attachClsact(dev Device, program *ebpf.Program, at side) error {
	filter := ourFilter(dev.Index, at)
	filter.Fd = program.FD()
	filter.Name = "xdp-port"
	filter.DirectAction = true
	if err := netlink.FilterReplace(filter); err != nil {
		return fmt.Errorf("%w the tc program to %s at clsact %s: %w", ErrAttach, dev.Name, at, err)
	}
	return nil
}

func ourFilter(ifindex int, at side) *netlink.BpfFilter {
	return &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{
		LinkIndex: ifindex,
		Parent:    at.clsactParent(),
		Handle:    filterHandle,
		Priority:  filterPriority,
		Protocol:  unix.ETH_P_ALL,
	}}
}

func hasClsact(dev Device) bool {
	qdiscs, err := netlinksafe.QdiscList(&netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: dev.Index}})
	return err == nil && slices.ContainsFunc(qdiscs, func(q netlink.Qdisc) bool {
		return q.Type() == "clsact"
	})
}

// removeClsact takes our filters off the device, and the qdisc if it was ours
// and nobody else has put a filter there since. All that goes with a device,
// so that one which is gone needs nothing.
func (r *Record) removeClsact() error {
	if r.Hook != Clsact || !r.Device.Exists() {
		return nil
	}
	if r.OwnsQdisc && !hasForeignFilters(r.Device) {
		return ignoreGone(netlink.QdiscDel(clsactQdisc(r.Device.Index)))
	}
	return errors.Join(
		ignoreGone(netlink.FilterDel(ourFilter(r.Device.Index, ingress))),
		ignoreGone(netlink.FilterDel(ourFilter(r.Device.Index, egress))),
	)
}

func hasForeignFilters(dev Device) bool {
	for _, at := range []side{ingress, egress} {
		filters, err := filtersAt(dev, at)
		if err != nil || slices.ContainsFunc(filters, isForeign) {
			return true
		}
	}
	return false
}

func filtersAt(dev Device, at side) ([]netlink.Filter, error) {
	device := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: dev.Index}}
	return netlinksafe.FilterList(device, at.clsactParent())
}

func isForeign(filter netlink.Filter) bool {
	attrs := filter.Attrs()
	return attrs.Priority != filterPriority || attrs.Handle != filterHandle
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}
