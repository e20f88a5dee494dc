package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// settleExchange does what the dead owner of a claim would have done, if that
// was exchanging programs.
func (s *Store) settleExchange(ruleset, folder string) error {
	note, err := attachment.ReadIntent(folder)
	if err != nil && attachment.IsNoRecord(err) {
		return nil
	}
	if err == nil {
		err = s.settle(ruleset, note)
	}
	if err != nil && !errors.Is(err, errElsewhere) {
		if s.unsettled == nil {
			s.unsettled = map[string]error{}
		}
		s.unsettled[ruleset] = err
	}
	return err
}

// errElsewhere says that an exchange is for a process of another network
// namespace, another node's, to settle.
var errElsewhere = errors.New("the device is in another network namespace")

// settle brings an exchange to its end: on to the new rules where they are in
// force, else back to the old programs. It can be done again and again.
func (s *Store) settle(ruleset string, note *attachment.Intent) error {
	key, err := decodeKey(note.Owner)
	if err != nil {
		return nil //nolint:nilerr // nobody knows what it is about
	}
	active, err := datapath.IsEnabled(ruleset, note.Activation())
	if err != nil {
		return err
	}
	old, moved := attachmentOf(s.ruleset(note.From), key), attachmentOf(ruleset, key)
	if err := s.leave(old, moved, active, note); err != nil {
		return err
	}
	isMoved, err := moved.exists()
	switch {
	case err != nil:
	case isMoved:
		err = finish(old, moved, note)
	case active:
		err = datapath.Disable(ruleset, note.Activation()) // it was removed since
	}
	if err != nil {
		return err
	}
	return datapath.EndHandOver(ruleset)
}

// leave puts the old programs back, or leaves the new ones alone on the device
// and moves the attachment to their ruleset.
func (s *Store) leave(old, moved published, active bool, note *attachment.Intent) error {
	if isThere, err := old.exists(); err != nil || !isThere {
		return err
	}
	own, err := veth.OwnNetNS()
	switch {
	case err != nil:
		return err
	case !own.Is(note.NetNS) && !note.NetNS.IsSucceededBy(own):
		return errElsewhere
	}
	if active {
		// Those that the old programs made since they were copied. At once: until
		// then their replies are not put right.
		if err := copyFlows(old.ruleset, moved.ruleset, note.Device.Index); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	isPlaced, err := attachment.IsPlaced(old.folder)
	switch {
	case err != nil:
		return err
	case !active && isPlaced:
		return attachment.Restore(old.folder, old.ruleset)
	case !active:
		return nil
	case isPlaced:
		if err := takeOver(old.folder, moved.ruleset); err != nil {
			return err
		}
	}
	if err := publish(old.folder, moved.folder); err != nil {
		return err
	}
	removeEmpty(filepath.Dir(old.folder), old.ruleset)
	return nil
}

func takeOver(folder, ruleset string) error {
	programs, err := datapath.OpenAll(ruleset)
	if err != nil {
		return err
	}
	defer programs.Close()
	if err := attachment.Replace(programs, folder); err != nil {
		return err
	}
	return attachment.Clear(programs, folder)
}

// finish takes over what the old programs counted, once they run no more, and
// ends their heeding the device. Where they heed it no more, that was done.
func finish(old, moved published, note *attachment.Intent) error {
	record, err := attachment.ReadRecord(moved.folder)
	if err != nil {
		return err
	}
	if record.CarriedFrom != note.From {
		if err := carry(old, moved, note); err != nil {
			return err
		}
	}
	return datapath.Disable(old.ruleset, note.Activation())
}

func carry(old, moved published, note *attachment.Intent) error {
	kernel.Quiesce()
	rs, err := datapath.ReadDescription(moved.ruleset)
	if err != nil {
		return err
	}
	carried, err := attachment.CarryCounters(moved.folder, old.ruleset, rs.Rules)
	switch {
	case err == nil, errors.Is(err, os.ErrNotExist): // what somebody removed is lost
	case errors.Is(err, pin.ErrPin):
		return err
	default:
		return fmt.Errorf("%w: take over the counters: %w", hook.ErrAttach, err)
	}
	return attachment.Carry(moved.folder, carried, note.From, note.ContainerRules)
}

// exists tells whether the attachment is published. What is no folder is
// somebody else's.
func (a published) exists() (bool, error) {
	info, err := os.Lstat(a.folder)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: look for an attachment: %w", bpffs.ErrUnusable, err)
	}
	return info.IsDir(), nil
}
