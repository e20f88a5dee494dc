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

// Attach attaches the programs to the record's device. It pins their links and the record in
// the folder, which must be empty. It sets the record's tc hook if that is AutoHook, OwnsQdisc
// and AttachedAt. The programs leave packets alone until Programs.Enable. On an error Attach
// undoes everything, but keeps the folder.
//
// Returns an error wrapping hook.ErrAttach or pin.ErrPin if the kernel refuses, and a
// *hook.ForeignError if another program is in the way.
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

// attachAll writes the record first, so that Detach knows what to undo.
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

// needsQdisc reports whether there are filters to add and no qdisc for them.
func needsQdisc(p *datapath.Programs, record *Record) (bool, error) {
	if record.Hook != hook.Clsact || p.AtTCIngress() == nil && p.ToContainer == nil {
		return false, nil
	}
	return hook.NeedsQdisc(record.Device)
}

// Detach detaches the programs and removes the pins of the attachment, but keeps the folder.
// Missing programs and pins are no error: they disappear with their device. A program that
// cannot be detached keeps its pin, so that Detach can be called again.
//
// Returns an error wrapping hook.ErrDetach or pin.ErrPin.
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

// DetachTCX detaches the tc programs at once. Detach leaves that to the kernel, which does it
// some time later. Meanwhile packets pass the programs twice if the same ruleset is enabled
// for the device at other hooks.
func (folder Folder) DetachTCX() error {
	return errors.Join(hook.DetachLink(folder.path(hook.PointTCIngress)), hook.DetachLink(folder.path(hook.PointTCEgress)))
}

// removeClsact removes our filters from the device. It removes the qdisc, too, if it was made
// for this attachment and is empty. All that disappears with a device.
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

// isAtIndex reports whether the recorded device still has its index in this namespace.
func (r *Record) isAtIndex() bool {
	own, err := veth.OwnNetNS()
	if err != nil || !r.NetNS.Is(own) {
		return false
	}
	found := Interface{Device: r.Device}
	found.locateByIndex(r)
	return found.Presence == Here
}
