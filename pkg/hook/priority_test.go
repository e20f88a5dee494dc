package hook

import (
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// TestPriority wants a place ahead of all filters that may end the chain, where
// there is one, and else a free one.
func TestPriority(t *testing.T) {
	filter := func(priority, protocol uint16) netlink.Filter {
		return &netlink.GenericFilter{FilterAttrs: netlink.FilterAttrs{Priority: priority, Protocol: protocol}}
	}
	bpf := func(priority, protocol uint16) netlink.Filter {
		return &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{Priority: priority, Protocol: protocol}, Name: "stranger"}
	}
	ours := &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{Priority: 2, Protocol: unix.ETH_P_ALL}, Name: FilterPrefix + "1"}
	elsewhere := filter(1, unix.ETH_P_ALL)
	chain := uint32(5)
	elsewhere.Attrs().Chain = &chain
	for name, tt := range map[string]struct {
		filters []netlink.Filter
		want    uint16
	}{
		"none":                    {nil, 2},
		"ours":                    {[]netlink.Filter{ours}, 2},
		"behind":                  {[]netlink.Filter{filter(3, unix.ETH_P_ALL)}, 2},
		"at 2":                    {[]netlink.Filter{filter(2, unix.ETH_P_IP)}, 1},
		"at 1":                    {[]netlink.Filter{filter(1, unix.ETH_P_ALL)}, 2},
		"at 1 and 2":              {[]netlink.Filter{filter(1, unix.ETH_P_ALL), filter(2, unix.ETH_P_ALL)}, 3},
		"at 1, for ARP":           {[]netlink.Filter{filter(1, unix.ETH_P_ARP)}, 2},
		"at 1 and 2, for ARP":     {[]netlink.Filter{filter(1, unix.ETH_P_ARP), filter(2, unix.ETH_P_ARP), filter(9, unix.ETH_P_IP)}, 3},
		"at 1 for ARP, and at 2":  {[]netlink.Filter{filter(1, unix.ETH_P_ARP), filter(2, unix.ETH_P_IPV6)}, 3},
		"at 1, but in a chain":    {[]netlink.Filter{elsewhere}, 2},
		"at 2, tagged":            {[]netlink.Filter{filter(2, unix.ETH_P_8021Q)}, 1},
		"BPF at 1":                {[]netlink.Filter{bpf(1, unix.ETH_P_ALL), bpf(1, unix.ETH_P_ALL), ours}, 1},
		"BPF at 2":                {[]netlink.Filter{bpf(2, unix.ETH_P_ALL)}, 1},
		"BPF at 1, for IP":        {[]netlink.Filter{bpf(1, unix.ETH_P_IP)}, 2},
		"BPF at 2, 1 taken":       {[]netlink.Filter{filter(1, unix.ETH_P_ARP), bpf(2, unix.ETH_P_ALL)}, 2},
		"no place ahead, 2 taken": {[]netlink.Filter{filter(1, unix.ETH_P_IP), filter(2, unix.ETH_P_ARP), filter(3, unix.ETH_P_ALL)}, 4},
	} {
		if got := prioritiesOf(tt.filters).choose(); got != tt.want {
			t.Errorf("%s: %d, want %d", name, got, tt.want)
		}
	}
}
