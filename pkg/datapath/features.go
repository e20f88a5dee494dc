package datapath

import (
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Features returns what the programs need, and what they use where it is there.
func Features() []kernel.Feature {
	return append(kernel.Needed(), kernel.TCX, kernel.Frags, kernel.TailCalls, takesSKB, nativeMode)
}

var nativeMode = kernel.Feature{
	Name: "skbs that XDP can read", Since: "6.3", Otherwise: "mode native is refused",
	Probe: func() error {
		if _, err := kernel.XDP(); err != nil {
			return err
		}
		return loadProbe(Native)
	},
}

// takesSKB is readsSKB by what counts: the verifier takes the programs.
var takesSKB = kernel.Feature{
	Name: "programs that read skbs", Since: "6.2", Otherwise: kernel.HelperChecksums,
	Probe: func() error {
		if err := kernel.ReadsSKB.Probe(); err != nil {
			return err
		}
		return loadProbe(TC)
	},
}

// loadProbe loads the programs of a small ruleset, which read skbs.
func loadProbe(mode Mode) error {
	port := func(p uint16) rules.PortRange { return rules.PortRange{First: p, Last: p} }
	rs := &Ruleset{Mode: mode, Flows: 1024, Rules: []rules.Rule{
		{Name: "probe", Protocol: rules.UDP, Ports: port(1), To: port(2)},
	}}
	table, err := rules.Compile(rs.Rules)
	if err != nil {
		return err
	}
	programs, err := load(rs, table, Shared{}, kernel.SKB)
	if isRefusal(err) {
		return fmt.Errorf("%w: %w", ebpf.ErrNotSupported, err)
	}
	if err != nil {
		return err
	}
	return programs.Close()
}
