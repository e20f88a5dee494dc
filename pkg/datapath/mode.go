package datapath

import "github.com/cilium/ebpf/link"

// Mode is where what the container sends is processed: how the XDP program is
// attached to a device, or without XDP.
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
	// TC does without XDP: a tc program does all, which costs least on a veth.
	TC
)

// String returns the word that the configuration uses.
func (m Mode) String() string {
	return [...]string{"generic", "native", "offload", "tc"}[m]
}

// flags returns how XDP is attached in the mode, which is not TC.
func (m Mode) flags() link.XDPAttachFlags {
	return [...]link.XDPAttachFlags{
		link.XDPGenericMode, link.XDPDriverMode, link.XDPOffloadMode,
	}[m]
}
