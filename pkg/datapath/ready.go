package datapath

import (
	"errors"
	"fmt"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Feature is something that a kernel may lack.
type Feature struct {
	Name string
	// Since is the first Linux that has it.
	Since string
	// Otherwise says what is done without; empty if nothing can be done.
	Otherwise string

	probe func() error
}

// Features returns what the programs need, and what they use where it is there.
func Features() []Feature {
	return append(needed(), tcx, frags, handsOver, takesSKB, nativeMode)
}

// needed is what there is no doing without.
func needed() []Feature {
	return []Feature{
		{Name: "what the XDP program needs", Since: "5.12", probe: func() error {
			return features.HaveProgramHelper(ebpf.XDP, newestNeeded)
		}},
		{Name: "tc programs", Since: "4.1", probe: func() error { return features.HaveProgramType(ebpf.SchedCLS) }},
		{Name: "ring buffers", Since: "5.8", probe: func() error { return features.HaveMapType(ebpf.RingBuf) }},
	}
}

var tcx = Feature{
	Name: "tcx", Since: "6.6", probe: queryTCX,
	Otherwise: "clsact filters are used, which cannot share a device with the bandwidth plugin's qdisc",
}

var frags = Feature{
	Name: "xdp.frags", Since: "5.18",
	Otherwise: "native mode takes no MTU above some 3.5 KiB",
	probe:     func() error { return features.HaveProgramHelper(ebpf.XDP, asm.FnXdpLoadBytes) },
}

// helperChecksums is what programs do without reading skbs.
const helperChecksums = "a helper fixes up checksums, which takes some 60 ns a packet more; those of UDP tunnels are in doubt"

var readsSKB = Feature{
	Name: kernelCast + " and its own BTF", Since: "6.2",
	Otherwise: helperChecksums,
	probe: func() error {
		if kernelSKB() == nil {
			return ebpf.ErrNotSupported
		}
		return nil
	},
}

var nativeMode = Feature{
	Name: "skbs that XDP can read", Since: "6.3", Otherwise: "mode native is refused",
	probe: func() error {
		if _, err := kernelXDP(); err != nil {
			return err
		}
		return loadProbe(Native)
	},
}

// takesSKB is readsSKB by what counts: the verifier takes the programs.
var takesSKB = Feature{
	Name: "programs that read skbs", Since: "6.2", Otherwise: helperChecksums,
	probe: func() error {
		if err := readsSKB.probe(); err != nil {
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
	programs, err := load(rs, table, Shared{}, kernelSKB)
	if isRefusal(err) {
		return fmt.Errorf("%w: %w", ebpf.ErrNotSupported, err)
	}
	if err != nil {
		return err
	}
	return programs.Close()
}

// Check returns nil if the kernel has the feature, and an error that names the
// kernel needed, and wraps ebpf.ErrNotSupported, if it has not. Without
// privileges a kernel says no to everything.
func (f Feature) Check() error {
	switch err := f.probe(); {
	case errors.Is(err, ebpf.ErrNotSupported):
		return fmt.Errorf("the kernel lacks %s, Linux %s or later has it: %w", f.Name, f.Since, err)
	case err != nil:
		return fmt.Errorf("the kernel cannot be asked whether it has %s: %w", f.Name, err)
	}
	return nil
}

// Ready tells whether the kernel has what loading the programs takes, and the
// hook that is asked for.
func Ready(hook TCHook) error {
	for _, feature := range needed() {
		if err := feature.Check(); err != nil {
			return err
		}
	}
	if hook == TCX {
		if err := tcx.Check(); err != nil {
			return fmt.Errorf(`%w: set "tcHook" to "auto" or "clsact"`, err)
		}
	}
	return nil
}

// newestNeeded is a helper as young as the youngest feature that there is no
// doing without, pointers as arguments of global functions (Linux 5.12).
const newestNeeded = asm.FnCheckMtu

// capabilities are those that ADD takes, by number (include/uapi/linux/capability.h).
var capabilities = []struct {
	name   string
	number uint
	// covered says that CAP_SYS_ADMIN stands for it.
	covered bool
}{
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN, false}, // devices and their qdiscs
	{"CAP_SYS_ADMIN", unix.CAP_SYS_ADMIN, false}, // setns into the container, mounting bpffs
	{"CAP_BPF", unix.CAP_BPF, true},
	{"CAP_PERFMON", unix.CAP_PERFMON, true},
}

// Privileged tells whether the process has the capabilities that ADD takes.
func Privileged() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("ask for the capabilities: %w", err)
	}
	has := func(number uint) bool { return sets[number/32].Effective&(1<<(number%32)) != 0 }
	var missing []string
	for _, c := range capabilities {
		covered := c.covered && has(unix.CAP_SYS_ADMIN)
		if !covered && !has(c.number) {
			missing = append(missing, c.name)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the process lacks %s: run the container runtime as root, with all capabilities",
			strings.Join(missing, ", "))
	}
	return nil
}
