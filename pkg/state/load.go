package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// isLoaded tells whether a ruleset is published. One whose folder has nothing but
// claims is being loaded, or was by somebody who died.
func isLoaded(ruleset datapath.Dir) bool { return ruleset.IsLoaded() }

// loadAside loads a ruleset for an attachment of the key without the lock: long
// lists of addresses take the kernel seconds. It returns a claim that keeps the
// ruleset. Anything else may have changed meanwhile.
//
// Returns ErrRevoked if the key was detached, bpffs.ErrBusy if somebody is attaching it
// already, or loads the same ruleset and does not get done.
func (s *Store) loadAside(key Key, dev hook.Device, now situation) (hold *claim, err error) {
	ruleset, wanted := now.ruleset, now.wanted
	defer func() {
		if err != nil {
			s.prune(ruleset)
		}
	}()
	if err := s.alone(key); err != nil {
		return nil, err
	}
	shared, err := s.shared(now.replaced(dev))
	if err != nil {
		return nil, err
	}
	defer shared.Close()
	others := claimsOf(ruleset)
	making, err := s.claim(ruleset, key)
	if err != nil {
		return nil, err
	}
	var programs *datapath.Programs
	err = s.unlocked(func() (err error) {
		if err := waitFor(others); err != nil || isLoaded(ruleset) {
			return err
		}
		programs, err = datapath.Load(wanted.Ruleset, wanted.Table, shared)
		return err
	})
	if programs != nil {
		defer programs.Close()
	}
	// This is the critical section again.
	if err == nil {
		err = making.checkRevoked()
	}
	if err == nil && programs != nil && !isLoaded(ruleset) {
		err = s.publishLoaded(ruleset, wanted.Ruleset, programs, shared)
	}
	if err == nil {
		err = s.turnIntoHold(making, ruleset)
	}
	if err != nil {
		return nil, errors.Join(err, making.discard())
	}
	return making, nil
}

// turnIntoHold has a claim keep its ruleset, and be for no attachment any more.
func (s *Store) turnIntoHold(c *claim, ruleset datapath.Dir) error {
	folder, err := s.freeName(claims(ruleset), "")
	if err != nil {
		return err
	}
	if err := os.Rename(string(c.folder), folder); err != nil {
		return fmt.Errorf("%w: keep the ruleset: %w", bpffs.ErrUnusable, err)
	}
	c.folder = attachment.Folder(folder)
	return nil
}

// letGo ends a claim that keeps a ruleset, which goes unless somebody uses it.
func (s *Store) letGo(hold *claim, ruleset datapath.Dir) {
	_ = hold.discard()
	s.prune(ruleset)
}

// publishLoaded publishes what was loaded, unless other rulesets have come that it
// shares too little with: then whoever attaches loads it again.
func (s *Store) publishLoaded(ruleset datapath.Dir, rs *datapath.Ruleset, programs *datapath.Programs, shared datapath.Shared) error {
	now, err := s.shared("")
	if err != nil {
		return err
	}
	defer now.Close()
	if !shared.HasAllOf(now) {
		return nil
	}
	return s.publishRuleset(ruleset, rs, programs)
}

// replaced returns the ruleset whose flows go on in the one that takes its place,
// or "".
func (s *situation) replaced(dev hook.Device) datapath.Dir {
	if !s.isBehind && len(s.existing) == 1 && s.existing[0].canBecome(dev, s.wanted) {
		return s.existing[0].ruleset
	}
	return ""
}

// waitFor waits until the claims that are there are no more: their owners load the
// same ruleset.
func waitFor(claims []attachment.Folder) error {
	deadline := time.Now().Add(bpffs.LockTimeout)
	for _, folder := range claims {
		if err := bpffs.WaitUnlocked(string(folder), deadline); err != nil {
			return fmt.Errorf("wait for the ruleset %s: %w", filepath.Base(filepath.Dir(filepath.Dir(string(folder)))), err)
		}
	}
	return nil
}
