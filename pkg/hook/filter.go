package hook

import (
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"
)

// FilterPrefix begins the name of every clsact filter that is ours.
const FilterPrefix = "xdp-port-"

// Filter is a clsact filter that xdp-port has put on a device.
type Filter struct {
	filter *netlink.BpfFilter
}

// Filters returns the clsact filters on the device that are xdp-port's, of
// whatever attachment.
func Filters(dev Device) ([]Filter, error) {
	var own []Filter
	for _, at := range Sides {
		filters, err := filtersAt(dev.Index, at)
		if err != nil {
			return nil, fmt.Errorf("%w: the filters of %s cannot be listed: %w", ErrInspect, dev.Name, err)
		}
		for _, filter := range filters {
			if bpf, ok := filter.(*netlink.BpfFilter); ok && strings.HasPrefix(bpf.Name, FilterPrefix) {
				own = append(own, Filter{bpf})
			}
		}
	}
	return own, nil
}

// IsNamed tells whether the filter has the name, which is one attachment's.
func (f Filter) IsNamed(name string) bool { return f.filter.Name == name }

// Remove takes the filter off.
func (f Filter) Remove() error {
	if err := ignoreGone(netlink.FilterDel(f.filter)); err != nil {
		return fmt.Errorf("%w the filter %s: %w", ErrDetach, f.filter.Name, err)
	}
	return nil
}
