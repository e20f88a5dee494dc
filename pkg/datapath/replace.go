package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/veth"
)

// hookPoint is one of the places of an attachment, and the program that
// belongs there; nil for none.
type hookPoint struct {
	pin     string
	program *ebpf.Program
	attach  func(dev Device, program *ebpf.Program, pin string) error
}

// hookPoints lists the hooks of an attachment. XDP comes last, as in Attach.
func (p *Programs) hookPoints(record *Record) []hookPoint {
	tc := func(at side) func(Device, *ebpf.Program, string) error {
		return func(dev Device, program *ebpf.Program, pin string) error {
			if record.Hook == Clsact {
				return record.attachClsact(program, at)
			}
			return attachTCX(dev, program, at, pin)
		}
	}
	return []hookPoint{
		{pinTCIngress, p.atTCIngress(), tc(ingress)},
		{pinTCEgress, p.ToContainer, tc(egress)},
		{pinXDP, p.FromContainer, func(dev Device, program *ebpf.Program, pin string) error {
			l, err := attachXDP(dev, program, record.Mode)
			if err != nil {
				return err
			}
			return pinAndClose(l, pin)
		}},
	}
}

// CanReplace tells whether the attachment in dir is one whose programs Replace
// can exchange: all on the same device still, in the same mode, at the same kind
// of tc hook.
func CanReplace(dir string, dev Device, netns veth.NetNS, mode Mode, hook TCHook) bool {
	record, err := ReadRecord(dir)
	if err != nil || record.Device.Index != dev.Index || !record.NetNS.Is(netns) || record.Mode != mode || hook != AutoHook && record.Hook != hook {
		return false
	}
	for _, pin := range linkPins {
		info, err := linkInfo(filepath.Join(dir, pin))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil || linkIndex(info) != dev.Index {
			return false
		}
	}
	return true
}

// linkPins are the places of an attachment's links, of which it need not have all.
var linkPins = []string{pinXDP, pinTCIngress, pinTCEgress}

// IsPlaced tells whether anything of the attachment in dir is on its device, which
// may have another name by now. Else nothing is, and neither is the device, or
// somebody took all of it off.
//
// Returns an error wrapping ErrPin or ErrAttach if the kernel cannot be asked.
func IsPlaced(dir string) (bool, error) {
	record, err := ReadRecord(dir)
	if err != nil {
		return false, err
	}
	for _, pin := range linkPins {
		info, err := linkInfo(filepath.Join(dir, pin))
		if err == nil && linkIndex(info) != 0 {
			return true, nil
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return false, fmt.Errorf("%w to read the link %s: %w", ErrPin, pin, err)
		}
	}
	return record.hasAnyFilter()
}

// IsPlacedAt is IsPlaced for a device of this index, and for an attachment that may
// have no record: then its links alone are asked.
func IsPlacedAt(dir string, index int) (bool, error) {
	record, err := ReadRecord(dir)
	switch {
	case err != nil && IsNoRecord(err):
		return PlacedAt(dir) == index, nil
	case err != nil:
		return false, err
	case record.Device.Index != index:
		return false, nil
	}
	return IsPlaced(dir)
}

// Replace puts p's programs into the attachment in dir, each by one atomic step.
// Hooks that p has no program for keep theirs until Clear.
//
// XDP comes last: as long as p does not heed the device, XDP leaves it to tc
// ingress of p to hand packets over.
func (p *Programs) Replace(dir string) error {
	record, err := ReadRecord(dir)
	if err != nil {
		return err
	}
	if err := p.addQdisc(record, dir); err != nil {
		return err
	}
	for _, point := range p.hookPoints(record) {
		if point.program == nil {
			continue
		}
		if err := point.exchange(record, dir); err != nil {
			return err
		}
	}
	return nil
}

// Clear takes off what is at hooks that p has no program for. XDP first: without
// tc ingress behind it, its changes would stay unsettled.
func (p *Programs) Clear(dir string) error {
	record, err := ReadRecord(dir)
	if err != nil {
		return err
	}
	for _, point := range slices.Backward(p.hookPoints(record)) {
		if point.program != nil {
			continue
		}
		if err := point.clear(record, dir); err != nil {
			return err
		}
	}
	return nil
}

// addQdisc adds what rules that had no tc program had no need of.
func (p *Programs) addQdisc(record *Record, dir string) error {
	needed, err := p.needsQdisc(record)
	if err != nil || !needed {
		return err
	}
	record.OwnsQdisc = true
	if err := record.pin(dir); err != nil {
		return err
	}
	return addClsact(record.Device)
}

// exchange puts the program in the place of another, or where none was.
func (h hookPoint) exchange(record *Record, dir string) error {
	pin := filepath.Join(dir, h.pin)
	l, err := link.LoadPinnedLink(pin, nil)
	if errors.Is(err, os.ErrNotExist) {
		// A clsact filter has no pin, and is replaced by adding it again.
		return h.attach(record.Device, h.program, pin)
	}
	if err != nil {
		return fmt.Errorf("%w to open the link %s: %w", ErrPin, pin, err)
	}
	defer l.Close()
	err = l.Update(h.program)
	if errors.Is(err, unix.ENOLINK) { // somebody detached it
		if err := removeIfThere(pin); err != nil {
			return err
		}
		return h.attach(record.Device, h.program, pin)
	}
	if err != nil {
		return fmt.Errorf("%w the new program by the link %s: %w", ErrAttach, pin, err)
	}
	return nil
}

// clear takes the program of the hook off, if there is one.
func (h hookPoint) clear(record *Record, dir string) error {
	if record.Hook == Clsact && h.pin != pinXDP {
		_, err := record.removeFilter(sideOf(h.pin))
		return err
	}
	pin := filepath.Join(dir, h.pin)
	if err := detachLink(pin); err != nil {
		return err
	}
	return removeIfThere(pin)
}

func sideOf(pin string) side {
	return side(pin == pinTCEgress)
}

// Restore undoes Replace: it puts the programs of the ruleset pinned in ruleset
// back into the attachment in dir, in reverse order.
func Restore(dir, ruleset string) error {
	record, err := ReadRecord(dir)
	if err != nil {
		return err
	}
	p, err := OpenAll(ruleset)
	if err != nil {
		return fmt.Errorf("%w: put the old programs back: %w", ErrAttach, err)
	}
	defer p.Close()
	for _, point := range slices.Backward(p.hookPoints(record)) {
		restore := point.exchange
		if point.program == nil {
			restore = point.clear
		}
		if err := restore(record, dir); err != nil {
			return err
		}
	}
	return nil
}

// OpenAll is Open for all the programs that a ruleset has.
func OpenAll(dir string) (*Programs, error) {
	hooks, err := PinnedHooks(dir)
	if err != nil {
		return nil, err
	}
	return Open(dir, hooks)
}
