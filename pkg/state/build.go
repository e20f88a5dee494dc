package state

import (
	"errors"
	"fmt"
	"os"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// build describes an attachment that is to be built, where the key has none.
type build struct {
	key     Key
	record  attachment.Record
	ruleset ruleset
	// enforced is the ruleset with the rules to enforce. Nil skips the check of foreign
	// programs ahead.
	enforced *datapath.Ruleset
	policy   lockPolicy
}

// attachNew builds the desired attachment, and loads its ruleset if that is not
// loaded.
func (t *Transaction) attachNew(b build, desired Desired) error {
	b.enforced = desired.Ruleset
	if err := t.refuseConcurrent(b.key); err != nil {
		return err
	}
	if _, err := os.Stat(b.ruleset.path()); err == nil {
		err := t.attach(b, func() (*datapath.Programs, error) { return openLoaded(b.ruleset, desired) })
		if !t.lock.isHeld() || !errors.Is(err, errIncomplete) {
			return err
		}
	}
	programs, err := t.openOrLoad(b.ruleset, desired, nil)
	if err != nil {
		return err
	}
	return t.attach(b, func() (*datapath.Programs, error) { return programs, nil })
}

// errIncomplete is the error of a ruleset without some of its pins.
var errIncomplete = errors.New("incomplete ruleset")

// openLoaded opens a loaded ruleset. It needs no state lock.
func openLoaded(r ruleset, desired Desired) (*datapath.Programs, error) {
	programs, err := r.OpenWhole(desired.Ruleset.Hooks())
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: %w", errIncomplete, err)
	}
	return programs, err
}

// attach builds a pending attachment, publishes it, and then enables its device.
//
// A process that dies on the way leaves the container without any rules. After an error
// nothing new is left, and the ruleset is removed if it is unused.
func (t *Transaction) attach(b build, open func() (*datapath.Programs, error)) (err error) {
	defer func() {
		if err != nil {
			t.prune(b.ruleset)
		}
	}()
	made, err := t.makePending(b.ruleset, b.key)
	if err != nil {
		return err
	}
	var programs *datapath.Programs
	// The kernel waits at each tcx link.
	err = t.whileKernelWorks(b.policy, func() (err error) {
		if programs, err = open(); err != nil {
			return err
		}
		if err := made.Attach(programs, &b.record); err != nil {
			return err
		}
		return t.checkNewOrder(made.entry, &b.record, b.enforced)
	})
	if programs != nil {
		defer programs.Close()
	}
	if err != nil {
		return errors.Join(err, made.discard())
	}
	place := b.ruleset.attachment(b.key)
	// Another attachment may have come without the lock.
	err = t.clearDevice(b.record.Device, b.record.NetNS, nil)
	if err == nil {
		err = made.publish(place)
	}
	if err != nil {
		err = errors.Join(err, made.discard())
		place.removeEmptyParents()
		return err
	}
	if err := programs.Enable(b.record.Activation()); err != nil {
		return errors.Join(err, t.remove(place, b.policy))
	}
	return nil
}

// checkNewOrder looks for foreign programs ahead of a new attachment. At tcx there are
// none, because xdp-port attaches at the head.
//
// Errors wrap *attachment.BypassError if a rule cannot be enforced.
func (t *Transaction) checkNewOrder(a entry, record *attachment.Record, enforced *datapath.Ruleset) (err error) {
	t.ahead = nil
	if enforced == nil || record.Hook == hook.TCX {
		return nil
	}
	if t.ahead, err = record.Ahead(a.Folder, a.ruleset.Dir, enforced.Hooks()); err != nil {
		return err
	}
	return attachment.Enforce(enforced, t.ahead)
}
