package datapath

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// Indices of the programs before, bpf/handover.h.
const (
	beforeTCIngress = uint32(0)
	beforeTCEgress  = uint32(1)
	beforeXDP       = uint32(0)
)

// predecessors are the programs that receive the packets of devices which the programs of a ruleset
// are not enabled for.
type predecessors struct{ tc, xdp *ebpf.Map }

func openPredecessors(dir Dir) (p predecessors, err error) {
	if p.tc, err = pin.OpenMap(string(dir), bpf.ProgramsMapTcPredecessors); err != nil {
		return p, err
	}
	if p.xdp, err = pin.OpenMap(string(dir), bpf.ProgramsMapXdpPredecessors); err != nil {
		p.tc.Close()
	}
	return p, err
}

func (p predecessors) close() {
	p.tc.Close()
	p.xdp.Close()
}

// HandOver makes the programs of the ruleset hand packets over to those of another one, for devices
// that they are not enabled for. It reports whether they can: some kernels cannot, and programs of
// other builds may not fit.
//
// Returns an error wrapping pin.ErrPin or ErrActivation.
func (dir Dir) HandOver(to *Programs) (bool, error) {
	if kernel.TailCalls.Check() != nil {
		return false, nil
	}
	if err := dir.EndHandOver(); err != nil {
		return false, err
	}
	p, err := openPredecessors(dir)
	if err != nil {
		return false, err
	}
	defer p.close()
	for _, before := range []struct {
		in      *ebpf.Map
		index   uint32
		program *ebpf.Program
	}{
		{p.tc, beforeTCIngress, to.AtTCIngress()},
		{p.tc, beforeTCEgress, to.ToContainer},
		{p.xdp, beforeXDP, to.FromContainer},
	} {
		if before.program == nil {
			continue
		}
		err := before.in.Put(before.index, before.program)
		if errors.Is(err, unix.EINVAL) {
			return false, dir.EndHandOver() // of another build, which does not fit
		}
		if err != nil {
			return false, fmt.Errorf("%w: put the new programs in front of the old ones: %w", ErrActivation, err)
		}
	}
	return true, nil
}

// EndHandOver undoes HandOver. It does nothing where packets are not handed over.
//
// Returns an error wrapping pin.ErrPin or ErrActivation.
func (dir Dir) EndHandOver() error {
	p, err := openPredecessors(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil // it is of a build that hands nothing over
	}
	if err != nil {
		return err
	}
	defer p.close()
	for _, in := range []*ebpf.Map{p.tc, p.xdp} {
		for index := range in.MaxEntries() {
			if err := in.Delete(index); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return fmt.Errorf("%w: release the old programs: %w", ErrActivation, err)
			}
		}
	}
	return nil
}
