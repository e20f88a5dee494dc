package flow

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/pin"
)

// ErrCopy is returned when flows cannot be copied. The message says why.
var ErrCopy = errors.New("flow copy error")

// ErrLoad is returned, along with ErrCopy, when the kernel refuses the program that
// copies flows.
var ErrLoad = errors.New("flow program load error")

// Copy copies the flows of a device to another table, unless both are the same. Where
// both have a flow, the one stays that was used later.
//
// Returns an error wrapping ErrCopy, and ErrLoad if the program for it cannot be loaded.
func Copy(from, to *ebpf.Map, ifindex int) error {
	same, err := pin.SameMap(from, to)
	if err != nil {
		return fmt.Errorf("%w: compare the flows: %w", ErrCopy, err)
	}
	if same {
		return nil
	}
	if !IsOfThisBuild(to) {
		return nil // the container's next packets re-create them there
	}
	importer := importer{to: to}
	defer importer.close()
	for record, err := range recordsOf(from, ifindex) {
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCopy, err)
		}
		if err := importer.add(&record); err != nil {
			return fmt.Errorf("%w: %w", ErrCopy, err)
		}
	}
	return nil
}
