package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Detach removes the attachments of a key, and each ruleset that nobody uses
// any more. There need not be any. One that is in the making meanwhile does not
// come to be.
func (s *Store) Detach(key Key) error {
	if err := s.revoke(key); err != nil {
		return err
	}
	found, err := s.find(key)
	if err != nil {
		return err
	}
	for _, a := range found {
		err = errors.Join(err, s.remove(a))
	}
	if s.lock == nil {
		return err
	}
	return errors.Join(err, s.forget(func(k Key) bool { return k == key }))
}

// remove takes an attachment away: first the programs are told to leave the
// device alone, so that it is wholly without rules from one moment on. Others
// need not wait while the kernel takes them off. Where somebody else was first
// there is nothing to do.
func (s *Store) remove(a published) error {
	if s.lock == nil {
		return bpffs.ErrBusy
	}
	if isThere, err := a.exists(); !isThere || err != nil {
		return err
	}
	if err := a.disable(); err != nil {
		return err
	}
	claim, err := s.claimPublished(a)
	if err != nil {
		return err
	}
	removeEmpty(filepath.Dir(string(a.folder)), a.ruleset)
	var discarded error
	err = s.unlocked(func() error {
		if discarded = s.detachNow(claim); discarded == nil {
			discarded = claim.discard()
		}
		return nil
	})
	if errors.Is(err, os.ErrNotExist) {
		err = nil // without the claim, whoever left last took the folder along
	}
	s.prune(a.ruleset)
	return errors.Join(discarded, err)
}

// detachNow takes tc programs off at once where the same container is attached
// anew.
func (s *Store) detachNow(c *claim) error {
	if !s.insist {
		return nil
	}
	err := c.folder.DetachTCX()
	if err != nil {
		err = errors.Join(err, c.lock.Close())
	}
	return err
}

// disable does nothing if the device's index has been given to another container
// of the ruleset since: the activation is that one's.
func (a published) disable() error {
	record, err := a.folder.Record()
	if err != nil {
		return a.disableByLink()
	}
	if isOthers, err := a.isOthers(record.Device.Index); isOthers || err != nil {
		return err
	}
	return a.ruleset.Disable(record.Activation())
}

// isOthers tells whether an activation that names no owner, as those of an earlier
// build, is needed by another attachment of the ruleset, which is on the device.
func (a published) isOthers(index int) (bool, error) {
	activation, err := a.ruleset.ActivationAt(index)
	if activation == nil || activation.Owner != 0 || err != nil {
		return false, err // else the owner decides
	}
	folders, err := publishedIn(a.ruleset)
	for _, folder := range folders {
		if folder == a.folder {
			continue
		}
		if isOn, err := folder.IsPlacedAt(index); isOn || err != nil {
			return isOn, err
		}
	}
	return false, err
}

// disableByLink is for an attachment whose record cannot be read. The device that
// its links are on is its own.
func (a published) disableByLink() error {
	index := a.folder.PlacedAt()
	if index == 0 {
		return nil
	}
	activation, err := a.ruleset.ActivationAt(index)
	if activation == nil || err != nil {
		return err
	}
	return a.ruleset.Disable(*activation)
}

// clearWay makes sure that nobody else's rules are on a device that is about to be
// attached, or get there by what is left of one that had its index. own are the
// attachments of the key itself.
//
// Returns an error wrapping *hook.ForeignError if another attachment is on the
// device.
func (s *Store) clearWay(dev hook.Device, netns veth.NetNS, own []published) error {
	rulesets, err := s.listRulesets()
	if err != nil {
		return err
	}
	ids := idsOf(own)
	for _, ruleset := range rulesets {
		activation, err := ruleset.ActivationAt(dev.Index)
		if err != nil {
			return err
		}
		if activation == nil || ids[activation.Owner] {
			continue
		}
		rs, err := ruleset.Description()
		if err != nil || !rs.NetNS.Is(netns) {
			continue // another node's device
		}
		if err := s.displace(ruleset, *activation, dev, netns, own); err != nil {
			return err
		}
	}
	return nil
}

// idsOf leaves out what cannot be read, which displace knows by its folder.
func idsOf(own []published) map[uint64]bool {
	ids := map[uint64]bool{}
	for _, a := range own {
		if record, err := a.folder.Record(); err == nil {
			ids[record.ID] = true
		}
	}
	return ids
}

// displace ends an activation of the device, unless its owner is there.
func (s *Store) displace(
	ruleset datapath.Dir, activation datapath.Activation, dev hook.Device, netns veth.NetNS, own []published,
) error {
	holder, record, err := s.holderOf(ruleset, activation)
	switch {
	case err != nil:
		return err
	case slices.Contains(own, holder):
		return nil
	case record == nil && holder.folder != "":
		return hook.HeldBy(dev, keyOf(holder.folder).String())
	case record == nil:
		return ruleset.Disable(activation)
	}
	switch found := holder.folder.Locate(record, netns); {
	case found.Presence == attachment.Gone:
		defer s.keepLock()()
		return s.remove(holder)
	case found.Presence == attachment.Undetermined && !found.Bare:
		return fmt.Errorf("%w: %s has the index of %s: %s", hook.ErrAttach, keyOf(holder.folder), dev.Name, found.Why)
	case found.Presence == attachment.Here && !found.Bare:
		return hook.HeldBy(dev, keyOf(holder.folder).String())
	}
	return ruleset.Disable(activation)
}

// holderOf returns the attachment of the ruleset that the activation is of, with
// its record. Without a record that can be read it is the one that has a link on the
// device. Where there is none its folder is empty.
//
// What cannot be read for now could be the one: that is an error, or somebody would
// take the activation for nobody's.
func (s *Store) holderOf(ruleset datapath.Dir, activation datapath.Activation) (published, *attachment.Record, error) {
	folders, err := publishedIn(ruleset)
	if err != nil {
		return published{}, nil, err
	}
	for _, folder := range folders {
		record, err := folder.Record()
		switch {
		case err == nil && record.Activation() == activation:
			return published{ruleset, folder}, record, nil
		case err == nil:
		case !attachment.IsNoRecord(err):
			return published{}, nil, err
		case folder.PlacedAt() == activation.Index:
			return published{ruleset, folder}, nil, nil
		}
	}
	return published{}, nil, nil
}

// refuseShared returns a *hook.ForeignError if any attachment is on the device.
func (s *Store) refuseShared(dev hook.Device, netns veth.NetNS) error {
	list, err := s.list()
	if err != nil {
		return err
	}
	for i := range list {
		record, err := list[i].Folder.Record()
		if err != nil || record.Device.Index != dev.Index {
			continue
		}
		found := list[i].Folder.Locate(record, netns)
		if found.Presence == attachment.Here && !found.Bare && found.Device.Index == dev.Index {
			return hook.HeldBy(dev, list[i].Key.String())
		}
	}
	return nil
}
