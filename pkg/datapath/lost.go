package datapath

import (
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
)

// filterPrefix begins the name of every clsact filter that is ours.
const filterPrefix = "xdp-port-"

// Filter is a clsact filter that xdp-port has put on a device.
type Filter struct {
	filter *netlink.BpfFilter
}

// Filters returns the clsact filters on the device that are xdp-port's, of
// whatever attachment.
func Filters(dev Device) ([]Filter, error) {
	var own []Filter
	for _, at := range []side{ingress, egress} {
		filters, err := filtersAt(dev.Index, at)
		if err != nil {
			return nil, fmt.Errorf("%w: the filters of %s cannot be listed: %w", ErrAttach, dev.Name, err)
		}
		for _, filter := range filters {
			if bpf, ok := filter.(*netlink.BpfFilter); ok && strings.HasPrefix(bpf.Name, filterPrefix) {
				own = append(own, Filter{bpf})
			}
		}
	}
	return own, nil
}

// IsOf tells whether the filter is of the attachment that has the record.
func (f Filter) IsOf(record *Record) bool {
	return f.filter.Name == record.filterName()
}

// Remove takes the filter off.
func (f Filter) Remove() error {
	if err := ignoreGone(netlink.FilterDel(f.filter)); err != nil {
		return fmt.Errorf("%w the filter %s: %w", ErrDetach, f.filter.Name, err)
	}
	return nil
}
