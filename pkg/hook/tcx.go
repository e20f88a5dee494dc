package hook

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/pin"
)

// attachTCX attaches in front of all other programs: none may see or redirect a packet whose
// checksum is not fixed up yet.
func attachTCX(dev Device, program *ebpf.Program, at Side, path string) error {
	for try := 1; ; try++ {
		l, err := link.AttachTCX(link.TCXOptions{
			Interface: dev.Index, Program: program, Attach: at.tcx(), Anchor: link.Head(),
		})
		if err == nil {
			return pin.KeepLink(l, path)
		}
		// A link of the same program that was unpinned goes some time later. One that
		// stays is of another attachment with the same rules.
		if !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("%w: attach the tc program to %s at tcx %s: %w", ErrAttach, dev.Name, at, err)
		}
		if try == tcxTries {
			id, _ := pin.ProgramID(program)
			return &ForeignError{Device: dev, ID: id, Name: ProgramName(id), atTC: true}
		}
		time.Sleep(busyPause)
	}
}
