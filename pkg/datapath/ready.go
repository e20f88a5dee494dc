package datapath

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// Ready tells whether programs can be loaded and attached here: it asks for
// privileges first, since without them the kernel says no to everything.
func Ready() error {
	if err := privileged(); err != nil {
		return err
	}
	for _, feature := range []struct {
		name string
		err  error
	}{
		{"what the XDP program needs", features.HaveProgramHelper(ebpf.XDP, newestNeeded)},
		{"tc programs", features.HaveProgramType(ebpf.SchedCLS)},
		{"LRU hash maps", features.HaveMapType(ebpf.LRUHash)},
	} {
		if feature.err != nil {
			return fmt.Errorf("the kernel lacks %s, Linux 5.12 or later has it: %w", feature.name, feature.err)
		}
	}
	return nil
}

// newestNeeded is a helper as young as the youngest feature that there is no
// doing without, pointers as arguments of global functions (Linux 5.12).
const newestNeeded = asm.FnCheckMtu

// Capabilities by number, include/uapi/linux/capability.h.
var capabilities = []struct {
	name   string
	number uint
}{
	{"CAP_NET_ADMIN", unix.CAP_NET_ADMIN},
	{"CAP_BPF", unix.CAP_BPF},
	{"CAP_PERFMON", unix.CAP_PERFMON},
}

// privileged wants the capabilities that loading and attaching take;
// CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON.
func privileged() error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var sets [2]unix.CapUserData
	if err := unix.Capget(&header, &sets[0]); err != nil {
		return fmt.Errorf("ask for the capabilities: %w", err)
	}
	has := func(number uint) bool { return sets[number/32].Effective&(1<<(number%32)) != 0 }
	for _, capability := range capabilities {
		covered := capability.number != unix.CAP_NET_ADMIN && has(unix.CAP_SYS_ADMIN)
		if !has(capability.number) && !covered {
			return fmt.Errorf("the process has no %s: run the container runtime as root", capability.name)
		}
	}
	return nil
}
