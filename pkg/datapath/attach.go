package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// TCHook is how the tc programs are attached.
type TCHook uint32

// The kinds of tc hook.
const (
	// AutoHook is TCX where the kernel has it.
	AutoHook TCHook = iota
	// TCX attaches by bpf_link (Linux 6.6).
	TCX
	// Clsact attaches filters of the clsact qdisc.
	Clsact
)

// String returns the word that the configuration uses.
func (h TCHook) String() string {
	return [...]string{"auto", "tcx", "clsact"}[h]
}

// Names of the pins of an attachment, one for each hook.
const (
	pinXDP       = "xdp"
	pinTCIngress = "tc_ingress"
	pinTCEgress  = "tc_egress"
)

// Attach puts the programs on the record's device and pins their links, and the
// record itself, into dir, an empty folder in bpffs. It sets what of the record
// it decides: the hook, if that is AutoHook, the qdisc, and the time. Packets are left
// alone until Activate. On an error everything is undone but for dir itself.
//
// Returns an error wrapping ErrAttach or ErrPin if the kernel refuses,
// *ForeignError if somebody else's program is in the way.
func (p *Programs) Attach(record *Record, dir string) error {
	record.AttachedAt = time.Now()
	if record.Hook == AutoHook {
		var err error
		if record.Hook, err = bestHook(); err != nil {
			return err
		}
	}
	if err := p.attachAll(record, dir); err != nil {
		return errors.Join(err, Detach(dir))
	}
	return nil
}

// bestHook is TCX, which is owned by a link, where the kernel has it.
func bestHook() (TCHook, error) {
	err := queryTCX()
	switch {
	case err == nil:
		return TCX, nil
	case errors.Is(err, ebpf.ErrNotSupported):
		return Clsact, nil
	}
	return AutoHook, fmt.Errorf("%w: ask for tcx: %w", ErrAttach, err)
}

// attachAll writes the record first: whoever finds it, finds all that has to
// be undone.
func (p *Programs) attachAll(record *Record, dir string) error {
	dev := record.Device
	needed, err := p.needsQdisc(record)
	if err != nil {
		return err
	}
	record.OwnsQdisc = needed
	if err := record.pin(dir); err != nil {
		return err
	}
	if needed {
		if err := addClsact(dev); err != nil {
			return err
		}
	}
	for _, point := range p.hookPoints(record) {
		if point.program == nil {
			continue
		}
		if err := point.attach(dev, point.program, filepath.Join(dir, point.pin)); err != nil {
			return err
		}
	}
	return nil
}

// needsQdisc tells whether there are filters to add, but no qdisc to add them to.
func (p *Programs) needsQdisc(record *Record) (bool, error) {
	if record.Hook != Clsact || p.atTCIngress() == nil && p.ToContainer == nil {
		return false, nil
	}
	return clsactNeeded(record.Device)
}

func pinAndClose(l link.Link, path string) error {
	defer l.Close()
	if err := l.Pin(path); err != nil {
		return fmt.Errorf("%w to pin the link %s: %w", ErrPin, path, err)
	}
	return nil
}

// ErrDetach is returned when the kernel refused to take a program off. The
// message says which.
var ErrDetach = errors.New("the kernel refused to detach")

// Detach undoes Attach by what it left in dir: it detaches the programs and
// removes the pins. Nothing missing is an error: the device, and with it the
// attachments, may be gone already. dir itself stays. What cannot be detached
// keeps its pins, for another try.
//
// Returns an error wrapping ErrDetach or ErrPin.
func Detach(dir string) error {
	record, err := ReadRecord(dir)
	if err != nil && !IsNoRecord(err) {
		return err // there may be filters
	}
	errs := []error{detachLink(filepath.Join(dir, pinXDP))}
	if record != nil {
		errs = append(errs, record.removeClsact())
	}
	if err := errors.Join(errs...); err != nil {
		return err // what is on record can be tried again
	}
	for _, name := range []string{pinTCIngress, pinTCEgress, pinXDP, pinRecord + "_new", pinRecord} {
		errs = append(errs, removeIfThere(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

// DetachTCX takes the tc programs of the attachment in dir off at once. Detach
// leaves that to the kernel, which gets to it some time later: soon enough, but
// if the same ruleset heeds the device by other hooks meanwhile, packets pass its
// programs twice.
func DetachTCX(dir string) error {
	return errors.Join(detachLink(filepath.Join(dir, pinTCIngress)), detachLink(filepath.Join(dir, pinTCEgress)))
}

// detachLink frees the hook at once: unpinning alone would do so some time
// later, and the next ADD might find the slot of XDP busy.
func detachLink(pin string) error {
	l, err := link.LoadPinnedLink(pin, nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w to open the link %s: %w", ErrPin, pin, err)
	}
	defer l.Close()
	if err := l.Detach(); err != nil {
		return fmt.Errorf("%w the link %s: %w", ErrDetach, pin, err)
	}
	return nil
}

// removeIfThere leaves alone what is a folder, and so not ours.
func removeIfThere(path string) error {
	if err := unix.Unlink(path); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EISDIR) {
		return fmt.Errorf("%w to remove %s: %w", ErrPin, path, err)
	}
	return nil
}
