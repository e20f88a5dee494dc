package datapath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf/link"

	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

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

// ErrMode is returned for a mode in which the running kernel does not let the
// programs be exact. The message says why, and which mode to use.
var ErrMode = errors.New("unavailable mode")

// AutoMode returns the mode that the configuration's auto stands for: Generic, or
// TC on a kernel that has no exact Generic.
func AutoMode() Mode {
	if kernel.IsRealTime() {
		return TC
	}
	return Generic
}

var modeWords = []string{Generic: "generic", Native: "native", Offload: "offload", TC: "tc"}

// String returns the word that the configuration uses.
func (m Mode) String() string {
	if !m.IsKnown() {
		return "unknown"
	}
	return modeWords[m]
}

// IsKnown reports whether the mode is one of this build: a pinned document may have
// another.
func (m Mode) IsKnown() bool { return int(m) < len(modeWords) }

// MarshalText returns the word.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalJSON reads the word, or the number that builds before wrote.
func (m *Mode) UnmarshalJSON(text []byte) error {
	mode, err := pin.DecodeEnum(text, modeWords)
	*m = Mode(mode)
	return err
}

// Check returns an error wrapping ErrMode if the running kernel has no exact data
// path in the mode.
//
// In Generic, XDP hands a packet to tc ingress by a per-CPU slot. On PREEMPT_RT
// another packet can come in between. In Native, XDP reads the skb itself.
func (m Mode) Check() error {
	switch {
	case m == Offload:
		return fmt.Errorf(`%w: %s: a veth has no hardware; set "mode" to "auto"`, ErrMode, m)
	case m == Generic && kernel.IsRealTime():
		return fmt.Errorf(`%w: %s: on PREEMPT_RT XDP and tc of two packets can interleave on a CPU; set "mode" to "auto" or "tc"`, ErrMode, m)
	case m == Native:
		if _, err := kernel.XDP(); err != nil {
			return fmt.Errorf(`%w: %s: XDP cannot read the skb for its checksum: %w; set "mode" to "auto" or "tc"`, ErrMode, m, err)
		}
	}
	return nil
}

// isNative reports whether the XDP program runs before there is a tc hook.
func (m Mode) isNative() bool { return m == Native || m == Offload }

// XDPFlags returns how XDP is attached in the mode, which is not TC.
func (m Mode) XDPFlags() link.XDPAttachFlags {
	return [...]link.XDPAttachFlags{
		link.XDPGenericMode, link.XDPDriverMode, link.XDPOffloadMode,
	}[m]
}
