package state

import (
	"errors"
	"fmt"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// clearDevice makes sure that no other attachment is on a device, or becomes active
// there through stale state of an older device with the same index. existing are the
// attachments of the key itself.
//
// Errors wrap *hook.ForeignError if another attachment is on the device.
func (t *Transaction) clearDevice(dev hook.Device, netns veth.NetNS, existing []entry) error {
	rulesets, err := t.rulesets()
	if err != nil {
		return err
	}
	ids := idsOf(existing)
	for _, r := range rulesets {
		activation, err := r.ActivationAt(dev.Index)
		if err != nil {
			return err
		}
		if activation == nil || ids[activation.Owner] {
			continue
		}
		rs, _ := r.Description() // of a newer version, too
		if rs == nil || !rs.NetNS.Is(netns) {
			continue // a device of another node
		}
		if err := t.endActivation(r, *activation, dev, netns, existing); err != nil {
			return err
		}
	}
	return nil
}

// idsOf returns the IDs of attachments. An attachment without a readable record has
// none; endActivation compares its folder.
func idsOf(attachments []entry) map[uint64]bool {
	ids := map[uint64]bool{}
	for _, a := range attachments {
		if record, _ := a.Record(); record != nil { // of a newer version, too
			ids[record.ID] = true
		}
	}
	return ids
}

// endActivation ends an activation of the device, unless its owner is on the device.
func (t *Transaction) endActivation(
	r ruleset, activation datapath.Activation, dev hook.Device, netns veth.NetNS, existing []entry,
) error {
	owner, record, err := r.ownerOf(activation)
	switch {
	case err != nil:
		return err
	case owner == nil:
		return r.Disable(activation)
	case slices.Contains(existing, *owner):
		return nil
	case record == nil:
		return hook.HeldBy(dev, owner.key().String())
	}
	switch found := owner.Locate(record, netns); {
	case found.Presence == attachment.Gone:
		return t.remove(*owner, keepLock)
	case found.Presence == attachment.Undetermined && !found.Bare:
		return fmt.Errorf("%w: %s has the index of %s: %s", hook.ErrInspect, owner.key(), dev.Name, found.Why)
	case found.Presence == attachment.Here && !found.Bare:
		return hook.HeldBy(dev, owner.key().String())
	}
	return r.Disable(activation)
}

// ownerOf returns the attachment that owns an activation, and its record. If no record
// is readable, the owner is the attachment with a link on the device, and the record is
// nil. The owner is nil if there is none.
//
// An unreadable record may be the owner's, so it is an error: otherwise the caller
// would end the activation.
func (r ruleset) ownerOf(activation datapath.Activation) (*entry, *attachment.Record, error) {
	published, err := r.attachments()
	if err != nil {
		return nil, nil, err
	}
	for _, a := range published {
		record, err := a.Record()
		switch {
		case err == nil && record.Activation() == activation:
			return &a, record, nil
		case err == nil:
		case errors.Is(err, pin.ErrNewer): // its device is for that version to judge
			if record.Activation() == activation || a.PlacedAt() == activation.Index {
				return &a, nil, nil
			}
		case !attachment.IsNoRecord(err):
			return nil, nil, err
		case a.PlacedAt() == activation.Index:
			return &a, nil, nil
		}
	}
	return nil, nil, nil
}

// refuseShared returns a *hook.ForeignError if any attachment is on the device.
func (t *Transaction) refuseShared(dev hook.Device, netns veth.NetNS) error {
	published, err := t.attachments()
	if err != nil {
		return err
	}
	for _, a := range published {
		record, _ := a.Record() // of a newer version, too
		if record == nil || record.Device.Index != dev.Index {
			continue
		}
		found := a.Locate(record, netns)
		if found.Presence == attachment.Here && !found.Bare && found.Device.Index == dev.Index {
			return hook.HeldBy(dev, a.key().String())
		}
	}
	return nil
}

// removeOrphaned removes clsact filters of xdp-port that belong to no attachment: their
// pins were removed, or another BPF file system was mounted. Links disappear with their
// pins; filters would run beside the new ones.
func (t *Transaction) removeOrphaned(iface hook.InterfaceState) error {
	if len(iface.Filters) == 0 {
		return nil
	}
	records := t.recordsOn(iface.Device)
	var errs []error
	for _, filter := range iface.Filters {
		isOf := func(record *attachment.Record) bool { return filter.IsNamed(record.FilterName()) }
		if !slices.ContainsFunc(records, isOf) {
			errs = append(errs, filter.Remove())
		}
	}
	return errors.Join(errs...)
}

// recordsOn returns the records of all attachments on a device, published and pending.
func (t *Transaction) recordsOn(dev hook.Device) (records []*attachment.Record) {
	rulesets, _ := t.rulesets()
	for _, r := range rulesets {
		published, _ := r.attachments()
		for _, a := range append(published, r.pending()...) {
			// Of a newer version, too: its filters are no orphans.
			if record, _ := a.Record(); record != nil && record.Device.Index == dev.Index {
				records = append(records, record)
			}
		}
	}
	return records
}
