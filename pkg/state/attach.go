package state

import (
	"errors"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// ErrNotAttached is the error of a key that has no attachment, or only one on a device
// that is gone.
var ErrNotAttached = errors.New("no attachment")

// Attach brings the host side of an interface into the desired state. It leaves an
// attachment alone that is in that state, and replaces another one of the same key. On
// an error the former state stays.
//
// Errors wrap datapath.ErrLoad, hook.ErrAttach, pin.ErrPin, bpffs.ErrUnusable
// or *hook.ForeignError if the kernel refuses. They wrap *attachment.BypassError if a
// rule cannot be enforced, and ErrCancelled if the key is detached meanwhile.
func (t *Transaction) Attach(key Key, iface hook.InterfaceState, desired Desired) error {
	return t.bring(key, iface, desired, t.checkOrder)
}

// Ahead returns the foreign tc programs that may end the chain ahead of the
// attachment's own. They are those that the last Attach found.
func (t *Transaction) Ahead() []hook.ForeignTC { return t.ahead }

// orderCheck looks for foreign programs ahead of existing attachments. isBehind reports
// that re-creating the attachment puts it first.
type orderCheck func(existing []entry, desired Desired) (isBehind bool, err error)

// bring is the common part of Attach and Change.
func (t *Transaction) bring(key Key, iface hook.InterfaceState, desired Desired, check orderCheck) error {
	now, err := t.assess(key, iface, desired, check)
	if err != nil || now.isServed() {
		return err
	}
	if !now.ruleset.IsLoaded() {
		kept, err := t.loadAside(key, now.ruleset, now.desired, now.replaced())
		if err != nil {
			return err
		}
		defer t.prune(now.ruleset)
		defer func() { _ = kept.discard() }()
		// The state may have changed without the lock.
		if now, err = t.assess(key, iface, desired, check); err != nil || now.isServed() {
			return err
		}
	}
	return t.attachLoaded(key, now)
}

// situation is the present and the desired state of a key.
type situation struct {
	iface    hook.InterfaceState
	existing []entry
	desired  Desired // with one of the two rulesets
	ruleset  ruleset
	isBehind bool // see orderCheck
}

// isServed reports whether nothing is to be done.
func (s *situation) isServed() bool {
	return !s.isBehind && isServed(s.existing, s.ruleset, s.desired, s.iface.Device)
}

// isServed reports whether one of the attachments is in the desired state.
func isServed(existing []entry, r ruleset, desired Desired, dev hook.Device) bool {
	return slices.ContainsFunc(existing, func(a entry) bool {
		return a.ruleset == r && desired.isServedBy(a, dev)
	})
}

// canReplace reports whether link updates can bring the only attachment into the desired
// state.
func (s *situation) canReplace() bool {
	return !s.isBehind && len(s.existing) == 1 && s.desired.canReplace(s.existing[0], s.iface.Device)
}

// replaced returns the ruleset that the desired one replaces, and shares its flows with.
// It is nil if there is none.
func (s *situation) replaced() *ruleset {
	if !s.canReplace() {
		return nil
	}
	return &s.existing[0].ruleset
}

// assess compares the present state with the desired one, and makes sure that no other
// attachment is on the device.
func (t *Transaction) assess(key Key, iface hook.InterfaceState, desired Desired, check orderCheck) (now situation, err error) {
	now.iface = iface
	if now.existing, err = t.find(key); err != nil {
		return now, err
	}
	now.desired = desired.choose(now.existing, iface)
	now.ruleset = t.rulesetOf(now.desired)
	netns := desired.Ruleset.NetNS
	if iface.HasOwn && len(now.existing) == 0 {
		if err := t.refuseShared(iface.Device, netns); err != nil {
			return now, err
		}
	}
	if err := t.clearDevice(iface.Device, netns, now.existing); err != nil {
		return now, err
	}
	if err := recordNames(now.existing, iface.Device, netns); err != nil {
		return now, err
	}
	now.isBehind, err = check(now.existing, now.desired)
	return now, err
}

// recordNames updates the records of a device that has been renamed.
func recordNames(existing []entry, dev hook.Device, netns veth.NetNS) error {
	for _, a := range existing {
		record, err := a.Record()
		if err != nil || !record.NetNS.Is(netns) || record.Device.Index != dev.Index || record.Device.Name == dev.Name {
			continue
		}
		record.Device.Name = dev.Name
		if err := a.Rename(record.Device); err != nil {
			return err
		}
	}
	return nil
}

// checkOrder looks for foreign programs ahead of the existing attachments. A new
// attachment is checked while it is built, see checkNewOrder.
//
// Errors wrap *attachment.BypassError if a rule cannot be enforced.
func (t *Transaction) checkOrder(existing []entry, desired Desired) (isBehind bool, err error) {
	t.ahead = nil
	for _, a := range existing {
		ahead, err := a.Ahead(a.ruleset.Dir, desired.Ruleset.Hooks())
		if err != nil || len(ahead) == 0 {
			continue // a damaged attachment is re-created
		}
		t.ahead = append(t.ahead, ahead...)
		if a.CanBeFirst(desired.Hook, ahead) {
			return true, nil
		}
	}
	return false, attachment.Enforce(desired.Ruleset, t.ahead)
}

// ignoreOrder is the orderCheck of Change, which re-creates nothing to be first and
// refuses nothing.
func ignoreOrder([]entry, Desired) (isBehind bool, err error) { return false, nil }

// attachLoaded attaches after the ruleset is loaded. If the ruleset has disappeared
// meanwhile, it is loaded under the lock.
func (t *Transaction) attachLoaded(key Key, now situation) error {
	if now.canReplace() && now.existing[0].ruleset != now.ruleset {
		return t.replace(key, now.existing[0], now.iface.Device, now.ruleset, now.desired)
	}
	b := build{key: key, record: now.record(key), ruleset: now.ruleset}
	if len(now.existing) > 0 {
		r := recreation{t: t, existing: now.existing, iface: now.iface, build: b, desired: now.desired}
		return r.run()
	}
	if err := t.removeOrphaned(now.iface); err != nil {
		return err
	}
	return t.attachNew(b, now.desired)
}

// record returns the record of a new attachment.
func (s *situation) record(key Key) attachment.Record {
	record := attachment.Record{
		Owner: key.encode(), ID: datapath.NewID(), Device: s.iface.Device, NetNS: s.desired.Ruleset.NetNS,
		Mode: s.desired.Ruleset.Mode, Hook: s.desired.Hook, ContainerRules: s.desired.ContainerRules,
	}
	record.SetSeen(s.iface)
	return record
}

// Outcome is the state that Attach has reached.
type Outcome struct {
	Mode    datapath.Mode
	Hook    hook.TCHook
	Device  hook.Device
	Ruleset string // its name, see datapath.Ruleset.Hash
}

// Outcome returns the state of a key's attachment. It returns ErrNotAttached if there is
// none.
func (t *Transaction) Outcome(key Key) (Outcome, error) {
	found, err := t.find(key)
	if err != nil {
		return Outcome{}, err
	}
	if len(found) == 0 {
		return Outcome{}, ErrNotAttached
	}
	record, err := found[0].Record()
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{record.Mode, record.Hook, record.Device, found[0].ruleset.Name()}, nil
}
