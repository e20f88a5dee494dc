package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/flow"
)

// openOrLoad opens the ruleset, and loads it first if it is not loaded. A new ruleset
// shares the flows of the one that it replaces, if that is not nil.
func (t *Transaction) openOrLoad(r ruleset, desired Desired, replaced *ruleset) (*datapath.Programs, error) {
	programs, err := r.OpenWhole(desired.Ruleset.Hooks())
	if !errors.Is(err, os.ErrNotExist) {
		return programs, err
	}
	shared, err := t.openShared(replaced)
	if err != nil {
		return nil, err
	}
	defer shared.Close()
	programs, err = datapath.Load(desired.Ruleset, desired.Table, shared)
	if err != nil {
		return nil, err
	}
	if err := t.publishRuleset(r, desired.Ruleset, programs); err != nil {
		return nil, errors.Join(err, programs.Close())
	}
	return programs, nil
}

// loadAside loads a ruleset for an attachment of the key without the lock: long lists
// of addresses take the kernel seconds. It returns a pending attachment that keeps the
// ruleset. The caller must look at the state again.
//
// Errors wrap ErrCancelled if the key is detached meanwhile. They wrap bpffs.ErrBusy if
// another process attaches the key, or loads the same ruleset and does not finish.
func (t *Transaction) loadAside(key Key, r ruleset, desired Desired, replaced *ruleset) (kept *pending, err error) {
	defer func() {
		if err != nil {
			t.prune(r)
		}
	}()
	if err := t.refuseConcurrent(key); err != nil {
		return nil, err
	}
	shared, err := t.openShared(replaced)
	if err != nil {
		return nil, err
	}
	defer shared.Close()
	others := r.pending()
	kept, err = t.makePending(r, key)
	if err != nil {
		return nil, err
	}
	var programs *datapath.Programs
	err = t.whileKernelWorks(releaseLock, func() (err error) {
		if err := waitFor(others); err != nil || r.IsLoaded() {
			return err
		}
		programs, err = datapath.Load(desired.Ruleset, desired.Table, shared)
		return err
	})
	if programs != nil {
		defer programs.Close()
	}
	if err == nil {
		err = t.publishLoaded(kept, desired.Ruleset, programs, shared)
	}
	if err != nil {
		return nil, errors.Join(err, kept.discard())
	}
	return kept, nil
}

// publishLoaded publishes programs that were loaded without the lock, if the ruleset is
// not loaded yet. The pending attachment keeps the ruleset then.
//
// It publishes nothing if new rulesets have maps that the programs do not share. Then
// openOrLoad loads the ruleset again.
func (t *Transaction) publishLoaded(p *pending, rs *datapath.Ruleset, programs *datapath.Programs, shared datapath.Shared) error {
	if err := p.checkCancelled(); err != nil {
		return err
	}
	if programs != nil && !p.ruleset.IsLoaded() {
		now, err := t.openShared(nil)
		if err != nil {
			return err
		}
		defer now.Close()
		if shared.HasAllOf(now) {
			if err := t.publishRuleset(p.ruleset, rs, programs); err != nil {
				return err
			}
		}
	}
	return p.becomeReservation(t)
}

// waitFor waits for the processes of pending attachments, which load the same ruleset.
func waitFor(others []entry) error {
	deadline := time.Now().Add(bpffs.LockTimeout)
	for _, a := range others {
		if err := bpffs.WaitUnlocked(a.path(), deadline); err != nil {
			return fmt.Errorf("wait for the ruleset %s: %w", a.ruleset.Name(), err)
		}
	}
	return nil
}

// openShared opens the maps that a new ruleset shares with others: the maps that all
// rulesets share, and the flows of the ruleset that it replaces.
func (t *Transaction) openShared(replaced *ruleset) (datapath.Shared, error) {
	rulesets, err := t.rulesets()
	if err != nil {
		return datapath.Shared{}, err
	}
	dirs := make([]datapath.Dir, len(rulesets))
	for i, r := range rulesets {
		dirs[i] = r.Dir
	}
	shared, err := datapath.OpenShared(dirs)
	if err != nil || replaced == nil {
		return shared, err
	}
	if shared.Flows, err = replaced.OpenFlows(); err != nil {
		shared.Close()
		return datapath.Shared{}, err
	}
	return shared, nil
}

// publishRuleset pins the programs in a temporary folder, and publishes it.
func (t *Transaction) publishRuleset(r ruleset, rs *datapath.Ruleset, programs *datapath.Programs) error {
	building, err := t.makeFolder(t.temporaryFolder(), "")
	if err != nil {
		return err
	}
	if err := errors.Join(programs.PinDescription(datapath.Dir(building), rs), programs.Pin(datapath.Dir(building))); err != nil {
		return errors.Join(err, discard(building))
	}
	err = publish(building, r.path())
	if errors.Is(err, os.ErrExist) {
		err = completePins(building, r)
	}
	if err != nil {
		return errors.Join(err, discard(building))
	}
	return nil
}

// completePins moves the pins of a ruleset one by one into its folder. The folder
// exists if it contains pending attachments, or attachments of a ruleset without some
// of its pins.
func completePins(building string, r ruleset) error {
	entries, err := os.ReadDir(building)
	for _, file := range entries {
		err = errors.Join(err, os.Rename(filepath.Join(building, file.Name()), filepath.Join(r.path(), file.Name())))
	}
	if err == nil {
		err = os.Remove(building)
	}
	if err != nil {
		return fmt.Errorf("%w: complete %s: %w", bpffs.ErrUnusable, r.path(), err)
	}
	return nil
}

// copyFlows copies the flows of a device to another ruleset.
func copyFlows(from, to ruleset, ifindex int) error {
	source, err := from.OpenFlows()
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := to.OpenFlows()
	if err != nil {
		return err
	}
	defer target.Close()
	return flow.Copy(source, target, ifindex)
}
