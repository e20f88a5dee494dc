package hook

import (
	"github.com/cilium/ebpf/link"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// Device is the host side of a veth, in the current network namespace.
//
// Its index tells it from the others that are there. Its name may change, and is
// for people.
type Device struct {
	Index int    `json:"index"`
	Name  string `json:"name"`
	// Address is its hardware address, empty where it is not known.
	Address string `json:"address,omitempty"`
	// Serial is what veth.SerialOf says of it, 0 where that is not known.
	Serial uint64 `json:"serial,omitempty"`
}

// Site is a device and what there is on it that is not of any attachment on
// record, or of another's.
type InterfaceState struct {
	Device Device
	// HasForeignXDP tells that somebody else's XDP program is there.
	HasForeignXDP bool
	// Filters are the clsact filters there that are ours.
	Filters []Filter
	// HasOwn tells that programs of xdp-port are there, of whatever attachment.
	HasOwn bool

	// tcx are the programs at tcx, by side, where the kernel has that.
	tcx map[Side][]link.AttachedProgram
}

// Survey looks at a device. The kernel answers when whoever attaches something
// to any device is done, so this is nothing to do while others wait, too.
//
// Returns an error wrapping ErrInspect.
func Inspect(dev Device) (InterfaceState, error) {
	filters, err := Filters(dev)
	site := InterfaceState{Device: dev, Filters: filters, tcx: programsAtTCX(dev)}
	if foreign := ForeignXDP(dev); foreign != nil {
		site.HasForeignXDP, site.HasOwn = !foreign.isOurs(), foreign.isOurs()
	}
	site.HasOwn = site.HasOwn || len(filters) > 0 || site.hasOwnTCX()
	return site, err
}

// programsAtTCX has no side that a kernel does not tell of: that one has none, or
// will refuse what comes next.
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

// hasOwnTCX tells whether a program of xdp-port is at a tcx hook of the device.
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
