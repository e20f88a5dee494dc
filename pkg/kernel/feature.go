package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
)

// Feature is something that a kernel may lack.
type Feature struct {
	Name string
	// Since is the first Linux that has it.
	Since string
	// Otherwise says what is done without; empty if nothing can be done.
	Otherwise string

	// Probe returns nil if the kernel has it, ebpf.ErrNotSupported if not.
	Probe func() error
}

// Needed is what xdp-port cannot do without.
func Needed() []Feature {
	return []Feature{
		{Name: "what the XDP program needs", Since: "5.12", Probe: func() error {
			return features.HaveProgramHelper(ebpf.XDP, newestNeeded)
		}},
		{Name: "tc programs", Since: "4.1", Probe: func() error { return features.HaveProgramType(ebpf.SchedCLS) }},
		{Name: "ring buffers", Since: "5.8", Probe: func() error { return features.HaveMapType(ebpf.RingBuf) }},
	}
}

// TCX is tcx, where tc programs are attached by links.
var TCX = Feature{
	Name: "tcx", Since: "6.6", Probe: QueryTCX,
	Otherwise: "clsact filters are used, which cannot share a device with the bandwidth plugin's qdisc",
}

// Frags is XDP for packets of several buffers, and the helpers for them.
var Frags = Feature{
	Name: "xdp.frags", Since: "5.18",
	Otherwise: "native mode takes no MTU above some 3.5 KiB",
	Probe:     func() error { return features.HaveProgramHelper(ebpf.XDP, asm.FnXdpLoadBytes) },
}

// HelperChecksums is what programs do without reading skbs.
const HelperChecksums = "a helper fixes up checksums, which takes some 60 ns a packet more; those of UDP tunnels are in doubt"

// ReadsSKB is what programs need to read an skb.
var ReadsSKB = Feature{
	Name: CastToKernel + " and its own BTF", Since: "6.2",
	Otherwise: HelperChecksums,
	Probe: func() error {
		if SKB() == nil {
			return ebpf.ErrNotSupported
		}
		return nil
	},
}

// Check returns nil if the kernel has the feature, and an error that names the
// kernel needed, and wraps ebpf.ErrNotSupported, if it has not. Without
// privileges a kernel says no to everything.
func (f Feature) Check() error {
	switch err := f.Probe(); {
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("the kernel lacks %s, Linux %s or later has it: %w", f.Name, f.Since, err)
	case err != nil:
		return fmt.Errorf("it cannot be determined whether the kernel has %s: %w", f.Name, err)
	}
	return nil
}

// newestNeeded is a helper as young as the youngest feature that there is no
// doing without, pointers as arguments of global functions (Linux 5.12).
const newestNeeded = asm.FnCheckMtu

// Ready returns an error that names the kernel needed if the running one lacks what
// loading the programs takes.
func Ready() error {
	for _, feature := range Needed() {
		if err := feature.Check(); err != nil {
			return err
		}
	}
	return nil
}
