package attachment

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Attach puts the programs on the record's device and pins their links, and the
// record itself, into dir, an empty folder in bpffs. It sets what of the record
// it decides: the hook, if that is AutoHook, the qdisc, and the time. Packets are left
// alone until Activate. On an error everything is undone but for dir itself.
//
// Returns an error wrapping ErrAttach or ErrPin if the kernel refuses,
// *ForeignError if somebody else's program is in the way.
func (folder Folder) Attach(p *datapath.Programs, record *Record) error {
	record.AttachedAt = time.Now()
	if record.Hook == hook.AutoHook {
		var err error
		if record.Hook, err = hook.Best(); err != nil {
			return err
		}
	}
	if err := folder.attachAll(p, record); err != nil {
		return errors.Join(err, folder.Detach())
	}
	return nil
}

// attachAll writes the record first: whoever finds it, finds all that has to
// be undone.
func (folder Folder) attachAll(p *datapath.Programs, record *Record) error {
	needed, err := needsQdisc(p, record)
	if err != nil {
		return err
	}
	record.OwnsQdisc = needed
	if err := record.pin(folder); err != nil {
		return err
	}
	if needed {
		if err := hook.AddQdisc(record.Device); err != nil {
			return err
		}
	}
	for _, slot := range slotsOf(p) {
		if slot.program == nil {
			continue
		}
		if err := slot.attach(record, folder.path(slot.point)); err != nil {
			return err
		}
	}
	return nil
}

// needsQdisc tells whether there are filters to add, but no qdisc to add them to.
func needsQdisc(p *datapath.Programs, record *Record) (bool, error) {
	if record.Hook != hook.Clsact || p.AtTCIngress() == nil && p.ToContainer == nil {
		return false, nil
	}
	return hook.NeedsQdisc(record.Device)
}

// Detach undoes Attach by what it left in dir: it detaches the programs and
// removes the pins. Nothing missing is an error: the device, and with it the
// attachments, may be gone already. dir itself stays. What cannot be detached
// keeps its pins, for another try.
//
// Returns an error wrapping ErrDetach or ErrPin.
func (folder Folder) Detach() error {
	record, err := folder.Record()
	if record == nil && !IsNoRecord(err) {
		return err // there may be filters
	}
	errs := []error{hook.DetachLink(folder.path(hook.PointXDP))}
	if record != nil {
		errs = append(errs, record.removeClsact())
	}
	if err := errors.Join(errs...); err != nil {
		return err // what is on record can be tried again
	}
	for _, name := range []string{string(hook.PointTCIngress), string(hook.PointTCEgress), string(hook.PointXDP), pinRecord + "_new", pinRecord} {
		errs = append(errs, pin.Remove(filepath.Join(string(folder), name)))
	}
	return errors.Join(errs...)
}

// DetachTCX takes the tc programs of the attachment in dir off at once. Detach
// leaves that to the kernel, which gets to it some time later: soon enough, but
// if the same ruleset heeds the device by other hooks meanwhile, packets pass its
// programs twice.
func (folder Folder) DetachTCX() error {
	return errors.Join(hook.DetachLink(folder.path(hook.PointTCIngress)), hook.DetachLink(folder.path(hook.PointTCEgress)))
}

// removeClsact takes our filters off the device, and the qdisc if it was made
// for this attachment and nobody else has put a filter there since. All that
// goes with a device, so that one which is gone needs nothing.
func (r *Record) removeClsact() error {
	if r.Hook != hook.Clsact && r.Hook.IsKnown() {
		return nil
	}
	isOurs, err := r.placement().RemoveFilters()
	if err != nil || !r.OwnsQdisc {
		return err
	}
	// Without filters the device may be another one by now, with a qdisc of its own.
	if !isOurs && !r.isAtIndex() {
		return nil
	}
	return hook.RemoveQdisc(r.Device)
}

// isAtIndex tells whether the device is the one that has its index here.
func (r *Record) isAtIndex() bool {
	own, err := veth.OwnNetNS()
	if err != nil || !r.NetNS.Is(own) {
		return false
	}
	found := Interface{Device: r.Device}
	found.locateByIndex(r)
	return found.Presence == Here
}
