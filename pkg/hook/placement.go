package hook

import (
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

// Seen is what was on a device when programs were added. It saves Ahead system calls right after.
type Seen struct {
	filters map[Side][]netlink.Filter
	// noTCX tells on which sides nothing was at tcx.
	noTCX map[Side]bool
}

// NothingAtTCX records the sides of an inspected device that have no tcx programs.
func (s *Seen) NothingAtTCX(state InterfaceState) {
	s.noTCX = map[Side]bool{}
	for at, programs := range state.tcx {
		s.noTCX[at] = len(programs) == 0
	}
}
