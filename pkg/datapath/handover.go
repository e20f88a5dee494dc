package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// Indices of the programs before, bpf/handover.h.
const (
	beforeTCIngress = uint32(0)
	beforeTCEgress  = uint32(1)
	beforeXDP       = uint32(0)
)

// predecessors are the programs that those of a ruleset hand the packets of
// devices over to that they do not heed.
type predecessors struct{ tc, xdp *ebpf.Map }

func openPredecessors(dir string) (p predecessors, err error) {
	if p.tc, err = openPinnedMap(dir, programsMapTcPredecessors); err != nil {
		return p, err
	}
	if p.xdp, err = openPinnedMap(dir, programsMapXdpPredecessors); err != nil {
		p.tc.Close()
	}
	return p, err
}

func openPinnedMap(dir, name string) (*ebpf.Map, error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(dir, pinName(name)), nil)
	if err != nil {
		return nil, fmt.Errorf("%w to open the map %s: %w", ErrPin, name, err)
	}
	return m, nil
}

func (p predecessors) close() {
	p.tc.Close()
	p.xdp.Close()
}

// HandOver has the programs of the ruleset pinned in dir hand packets over to
// those of another one, for devices that they do not heed. It tells whether they
// can: not every kernel has the means, and not all programs go together.
//
// Returns an error wrapping ErrPin or ErrAttach.
func HandOver(dir string, to *Programs) (bool, error) {
	if handsOver.Check() != nil {
		return false, nil
	}
	if err := EndHandOver(dir); err != nil {
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
		{p.tc, beforeTCIngress, to.atTCIngress()},
		{p.tc, beforeTCEgress, to.ToContainer},
		{p.xdp, beforeXDP, to.FromContainer},
	} {
		if before.program == nil {
			continue
		}
		err := before.in.Put(before.index, before.program)
		if errors.Is(err, unix.EINVAL) {
			return false, EndHandOver(dir) // of another build, which does not fit
		}
		if err != nil {
			return false, fmt.Errorf("%w the new programs in front of the old ones: %w", ErrAttach, err)
		}
	}
	return true, nil
}

// EndHandOver lets go of the programs that HandOver named. There need not be any.
func EndHandOver(dir string) error {
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
				return fmt.Errorf("%w from the old programs: %w", ErrDetach, err)
			}
		}
	}
	return nil
}

var handsOver = Feature{
	Name: "tail calls from programs with functions", Since: "5.10",
	Otherwise: "the rules of a running container are exchanged hook by hook",
	probe:     probeHandOver,
}

// probeHandOver loads a program of two functions with a tail call. It takes a
// JIT compiler that can do both (arm64: Linux 6.0).
func probeHandOver() error {
	table, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.ProgramArray, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return err
	}
	defer table.Close()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "Dual BSD/GPL",
		Instructions: asm.Instructions{
			asm.Mov.Reg(asm.R6, asm.R1),
			asm.Call.Label("function"),
			asm.Mov.Reg(asm.R1, asm.R6),
			asm.LoadMapPtr(asm.R2, table.FD()),
			asm.Mov.Imm(asm.R3, 0),
			asm.FnTailCall.Call(),
			asm.Mov.Imm(asm.R0, 0),
			asm.Return(),
			asm.Mov.Imm(asm.R0, 0).WithSymbol("function"),
			asm.Return(),
		},
	})
	if err != nil {
		var refused *ebpf.VerifierError
		if errors.As(err, &refused) {
			return fmt.Errorf("%w: %w", ebpf.ErrNotSupported, err)
		}
		return err
	}
	return program.Close()
}
