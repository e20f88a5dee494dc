package datapath

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// ErrDiffers is returned when an attachment is not as it should be. The message
// says in what.
var ErrDiffers = errors.New("the attachment differs")

// Verify compares the attachment in folder, of the ruleset loaded in ruleset,
// with what it should be on this device. Returns an error wrapping ErrDiffers
// that says what is different.
func Verify(folder, ruleset string, dev Device, rs *Ruleset, hook TCHook) error {
	record, err := ReadRecord(folder)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	if err := record.verify(dev, rs.Mode, hook); err != nil {
		return err
	}
	programs, err := Open(ruleset, rs.Hooks())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDiffers, err)
	}
	defer programs.Close()
	if err := programs.verifyXDP(folder, dev); err != nil {
		return err
	}
	if err := programs.verifyTC(record, folder); err != nil {
		return err
	}
	return programs.verifyActive(dev)
}

func differs(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrDiffers}, args...)...)
}

func (r *Record) verify(dev Device, mode Mode, hook TCHook) error {
	switch {
	case r.Device.Index != dev.Index:
		return differs("it is on %s (index %d), but the container's host side is %s (index %d)",
			r.Device.Name, r.Device.Index, dev.Name, dev.Index)
	case r.Mode != mode:
		return differs("the mode is %s, the configuration wants %s", r.Mode, mode)
	case hook != AutoHook && r.Hook != hook:
		return differs("the tc hook is %s, the configuration wants %s", r.Hook, hook)
	}
	return nil
}

func (p *Programs) verifyXDP(folder string, dev Device) error {
	if p.FromContainer == nil {
		return nil
	}
	return verifyLink(filepath.Join(folder, pinXDP), p.FromContainer, dev)
}

func (p *Programs) verifyTC(record *Record, folder string) error {
	return errors.Join(
		record.verifyTC(filepath.Join(folder, pinTCIngress), p.atTCIngress(), ingress),
		record.verifyTC(filepath.Join(folder, pinTCEgress), p.ToContainer, egress),
	)
}

func (r *Record) verifyTC(pin string, program *ebpf.Program, at side) error {
	switch {
	case program == nil:
		return nil
	case r.Hook == TCX:
		return verifyLink(pin, program, r.Device)
	}
	return r.verifyFilter(program, at)
}

// verifyLink compares a pinned link with the program and device it should have.
func verifyLink(pin string, program *ebpf.Program, dev Device) error {
	l, err := link.LoadPinnedLink(pin, nil)
	if err != nil {
		return differs("the link %s cannot be opened: %w", pin, err)
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return differs("the link %s: %w", pin, err)
	}
	want, err := programID(program)
	if err != nil {
		return err
	}
	switch index := linkIndex(info); {
	case index == 0:
		return differs("the link %s is detached", pin)
	case index != dev.Index:
		return differs("the link %s is on the device with index %d, not on %s", pin, index, dev.Name)
	case info.Program != want:
		return differs("the link %s has program %d, not %d", pin, info.Program, want)
	}
	return nil
}

// linkIndex returns the index of the device that a link is on, 0 if it is on
// none any more.
func linkIndex(info *link.Info) int {
	if xdp := info.XDP(); xdp != nil {
		return int(xdp.Ifindex)
	}
	if tcx := info.TCX(); tcx != nil {
		return int(tcx.Ifindex)
	}
	return 0
}

func programID(program *ebpf.Program) (ebpf.ProgramID, error) {
	info, err := program.Info()
	if err != nil {
		return 0, fmt.Errorf("ask for a program's id: %w", err)
	}
	id, ok := info.ID()
	if !ok {
		return 0, errors.New("the kernel does not tell a program's id")
	}
	return id, nil
}

func (r *Record) verifyFilter(program *ebpf.Program, at side) error {
	want, err := programID(program)
	if err != nil {
		return err
	}
	switch got := r.filterProgram(at); got {
	case want:
		return nil
	case 0:
		return differs("the filter of %s at clsact %s is gone", r.Device.Name, at)
	default:
		return differs("the filter of %s at clsact %s has program %d, not %d", r.Device.Name, at, got, want)
	}
}

func (p *Programs) verifyActive(dev Device) error {
	var values [][]byte
	err := p.maps[programsMapCounters].Lookup(uint32(dev.Index), &values)
	if err != nil {
		return differs("the programs do not heed %s: %w", dev.Name, err)
	}
	return nil
}
