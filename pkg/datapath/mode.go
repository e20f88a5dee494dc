package datapath

import "github.com/cilium/ebpf/link"

// Mode is how the XDP program is attached to a device.
type Mode uint32

// The modes. Always one of them is asked for explicitly: the kernel's own
// choice on a veth would be native, which is the slow one there.
const (
	// Generic runs the program on skbs, after the driver.
	Generic Mode = iota
	// Native runs the program in the driver. On a veth that takes the
	// container's segmentation offload away.
	Native
	// Offload runs the program on the device itself.
	Offload
)

// String returns the word that the configuration uses.
func (m Mode) String() string {
	return [...]string{"generic", "native", "offload"}[m]
}

func (m Mode) flags() link.XDPAttachFlags {
	return [...]link.XDPAttachFlags{
		link.XDPGenericMode, link.XDPDriverMode, link.XDPOffloadMode,
	}[m]
}
