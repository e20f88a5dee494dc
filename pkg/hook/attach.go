package hook

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/pin"
)

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

// DetachLink detaches the program of a pinned link at once. Removing the pin does so some time
// later, and the next ADD might find the XDP slot busy.
//
// Returns an error wrapping pin.ErrPin or ErrDetach.
func DetachLink(path string) error {
	l, err := pin.OpenLink(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Detach(); err != nil {
		return fmt.Errorf("%w: detach the link %s: %w", ErrDetach, path, err)
	}
	return nil
}
