package hook

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// ErrForeign is the kind of a *ForeignError.
var ErrForeign = errors.New("foreign program")

// ForeignError says that a foreign XDP program, or a program of another attachment, is on a device.
type ForeignError struct {
	Device Device
	ID     ebpf.ProgramID
	Name   string

	// atTC tells that it is at a tc hook, where only ours are in the way.
	atTC bool
	// holder is the attachment that has the device; empty where it is not known.
	holder string
}

// HeldBy returns the error for a device with another attachment, in any mode.
func HeldBy(dev Device, holder string) *ForeignError {
	return &ForeignError{Device: dev, holder: holder}
}

// isOurs reports whether it is a program of another attachment of xdp-port.
func (e *ForeignError) isOurs() bool {
	return e.atTC || e.holder != "" || e.Name == bpf.ProgramsProgFromContainer
}

// Unwrap returns ErrForeign.
func (e *ForeignError) Unwrap() error { return ErrForeign }

func (e *ForeignError) Error() string {
	if e.holder != "" {
		return fmt.Sprintf("%s is already under the rules of another network or container ID: run DEL first for %s",
			e.Device.Name, e.holder)
	}
	if e.isOurs() {
		return fmt.Sprintf("%s already has %s of xdp-port (id %d) for another network or container ID: "+
			"run DEL for that one first", e.Device.Name, e.kind(), e.ID)
	}
	return fmt.Sprintf("%s already has the XDP program %q (id %d), which is not xdp-port's: "+
		`detach it, or set "mode" to "auto" or "tc", which does without XDP`, e.Device.Name, e.Name, e.ID)
}

func (e *ForeignError) kind() string {
	if e.atTC {
		return "a tc program"
	}
	return "an XDP program"
}
