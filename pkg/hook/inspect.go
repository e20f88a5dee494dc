package hook

import (
	"github.com/cilium/ebpf/link"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// InterfaceState is a device and the programs on it that belong to no recorded
// attachment, or to another one.
type InterfaceState struct {
	Device Device
	// HasForeignXDP tells that a foreign XDP program is there.
	HasForeignXDP bool
	// Filters are the clsact filters there that are ours.
	Filters []Filter
	// HasOwn tells that programs of xdp-port are there, of whatever attachment.
	HasOwn bool

	// tcx are the programs at tcx, by side, where the kernel has that.
	tcx map[Side][]link.AttachedProgram
}

// Inspect looks at a device. The kernel answers only after everyone who attaches something
// to any device, so do not call it while others wait for a lock.
//
// Returns an error wrapping ErrInspect.
func Inspect(dev Device) (InterfaceState, error) {
	filters, err := Filters(dev)
	state := InterfaceState{Device: dev, Filters: filters, tcx: programsAtTCX(dev)}
	if foreign := ForeignXDP(dev); foreign != nil {
		state.HasForeignXDP, state.HasOwn = !foreign.isOurs(), foreign.isOurs()
	}
	state.HasOwn = state.HasOwn || len(filters) > 0 || state.hasOwnTCX()
	return state, err
}

// programsAtTCX omits a side that the kernel refuses to report: it has none, or the next call fails, too.
func programsAtTCX(dev Device) map[Side][]link.AttachedProgram {
	programs := map[Side][]link.AttachedProgram{}
	for _, at := range Sides {
		found, err := link.QueryPrograms(link.QueryOptions{Target: dev.Index, Attach: at.tcx()})
		if err == nil {
			programs[at] = found.Programs
		}
	}
	return programs
}

// hasOwnTCX reports whether a program of xdp-port is at a tcx hook of the device.
func (s InterfaceState) hasOwnTCX() bool {
	for _, programs := range s.tcx {
		for _, program := range programs {
			if bpf.IsOwnName(ProgramName(program.ID)) {
				return true
			}
		}
	}
	return false
}
