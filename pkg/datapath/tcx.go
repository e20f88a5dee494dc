package datapath

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// side is which way packets pass the host side of the veth.
type side bool

const (
	ingress side = false // from the container
	egress  side = true  // to the container
)

func (s side) tcx() ebpf.AttachType {
	if s == egress {
		return ebpf.AttachTCXEgress
	}
	return ebpf.AttachTCXIngress
}

func (s side) String() string {
	if s == egress {
		return "egress"
	}
	return "ingress"
}

// tcxTries times busyPause is two seconds: the kernel's work queue and RCU are
// late on a machine that is busy.
const tcxTries = 400

// attachTCX attaches in front of all others: no program is to see, or to send
// away, a packet whose checksum is not settled yet.
func attachTCX(dev Device, program *ebpf.Program, at side, pin string) error {
	for try := 1; ; try++ {
		l, err := link.AttachTCX(link.TCXOptions{
			Interface: dev.Index, Program: program, Attach: at.tcx(), Anchor: link.Head(),
		})
		if err == nil {
			return pinAndClose(l, pin)
		}
		// A link of the same program that was unpinned goes some time later. One that
		// stays is of another attachment with the same rules.
		if !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("%w the tc program to %s at tcx %s: %w", ErrAttach, dev.Name, at, err)
		}
		if try == tcxTries {
			id, _ := programID(program)
			return &ForeignError{Device: dev, ID: id, Name: programName(id), atTC: true}
		}
		time.Sleep(busyPause)
	}
}

// queryTCX asks the kernel whether it has tcx (Linux 6.6), by a query that needs
// no program.
func queryTCX() error {
	_, err := link.QueryPrograms(link.QueryOptions{
		Target: loopbackIndex, Attach: ebpf.AttachTCXIngress,
	})
	// Older kernels do not know the kind of query.
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", ebpf.ErrNotSupported, err)
	}
	return err
}

// loopbackIndex is the same in every network namespace.
const loopbackIndex = 1
