package hook

import (
	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// Placement is what one attachment has at the tc hooks of a device.
type Placement struct {
	Device Device
	// Hook is the kind of hook, never AutoHook.
	Hook TCHook
	// Filter is the name of its clsact filters. It tells them from all others,
	// whatever became of the device's index and name.
	Filter string
	// Seen is what was on the device when the programs were added.
	Seen *Seen
}

// Seen is what was on a device when programs were added. It spares TC.Ahead
// questions to the kernel right after.
type Seen struct {
	filters map[Side][]netlink.Filter
	// noTCX tells on which sides nothing was at tcx.
	noTCX map[Side]bool
}

// Attach puts the program on a side of the device. At tcx it pins the link at the
// path. At clsact it replaces the program of the filter that is there already.
//
// Returns an error wrapping ErrAttach or pin.ErrPin if the kernel refuses,
// *ForeignError if another attachment's program is in the way.
func (t Placement) Attach(program *ebpf.Program, at Side, path string) error {
	if t.Hook == Clsact {
		return t.attachClsact(program, at)
	}
	return attachTCX(t.Device, program, at, path)
}

// NothingAtTCX notes what state was found of a device that programs are about to be
// added to.
func (s *Seen) NothingAtTCX(state InterfaceState) {
	s.noTCX = map[Side]bool{}
	for at, programs := range state.tcx {
		s.noTCX[at] = len(programs) == 0
	}
}

func (t Placement) programsAtTCX(at Side) ([]link.AttachedProgram, error) {
	if t.Seen != nil && t.Seen.noTCX[at] {
		return nil, nil
	}
	attached, err := link.QueryPrograms(link.QueryOptions{Target: t.Device.Index, Attach: at.tcx()})
	if isAbsent(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return attached.Programs, nil
}
