package hook

import (
	"errors"
	"fmt"
	"strings"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// isForeign reports whether other software made the filter.
func isForeign(filter netlink.Filter) bool {
	bpf, ok := filter.(*netlink.BpfFilter)
	return !ok || !strings.HasPrefix(bpf.Name, FilterPrefix)
}

// isInMainChain reports whether packets reach the filter without a goto. The filter with the
// goto is in the main chain itself.
func isInMainChain(filter netlink.Filter) bool {
	chain := filter.Attrs().Chain
	return chain == nil || *chain == 0
}

// mayEndChain reports whether the filter may keep packets from the filters behind it. A filter
// without an action does so, too, if it matches (net/sched/cls_bpf.c, tcf_exts_exec).
//
// It judges by the protocol alone: the result of a BPF program and future classifiers and
// actions are not known.
func mayEndChain(filter netlink.Filter) bool {
	switch filter.Attrs().Protocol {
	case unix.ETH_P_ALL, unix.ETH_P_IP, unix.ETH_P_IPV6, unix.ETH_P_8021Q, unix.ETH_P_8021AD:
		return isInMainChain(filter)
	}
	return false
}

// canShare reports whether ours can have the filter's priority. All filters of one priority are of one kind and protocol.
func canShare(filter netlink.Filter) bool {
	_, ok := filter.(*netlink.BpfFilter)
	return ok && filter.Attrs().Protocol == unix.ETH_P_ALL
}

// FilterPrefix begins the name of each clsact filter of xdp-port.
const FilterPrefix = "xdp-port-"

func (s Side) clsactParent() uint32 {
	if s == Egress {
		return netlink.HANDLE_MIN_EGRESS
	}
	return netlink.HANDLE_MIN_INGRESS
}

func filtersAt(ifindex int, at Side) ([]netlink.Filter, error) {
	device := &netlink.Dummy{LinkAttrs: netlink.LinkAttrs{Index: ifindex}}
	return netlinksafe.FilterList(device, at.clsactParent())
}

func ignoreGone(err error) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) {
		return nil
	}
	return err
}

// Filter is a clsact filter of xdp-port.
type Filter struct {
	filter *netlink.BpfFilter
}

// Filters returns the clsact filters of xdp-port on the device, of all attachments.
//
// Returns an error wrapping ErrInspect.
func Filters(dev Device) ([]Filter, error) {
	var own []Filter
	for _, at := range Sides {
		filters, err := filtersAt(dev.Index, at)
		if err != nil {
			return nil, fmt.Errorf("%w: list the filters of %s: %w", ErrInspect, dev.Name, err)
		}
		for _, filter := range filters {
			if bpf, ok := filter.(*netlink.BpfFilter); ok && strings.HasPrefix(bpf.Name, FilterPrefix) {
				own = append(own, Filter{bpf})
			}
		}
	}
	return own, nil
}

// IsNamed reports whether the filter has the name, which identifies an attachment.
func (f Filter) IsNamed(name string) bool { return f.filter.Name == name }

// Remove removes the filter.
//
// Returns an error wrapping ErrDetach.
func (f Filter) Remove() error {
	if err := ignoreGone(netlink.FilterDel(f.filter)); err != nil {
		return fmt.Errorf("%w: remove the filter %s: %w", ErrDetach, f.filter.Name, err)
	}
	return nil
}
