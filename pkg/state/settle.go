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
func (s *Store) settleExchange(ruleset datapath.Dir, folder attachment.Folder) error {
	note, err := folder.Intent()
	if err != nil && attachment.IsNoRecord(err) {
		return nil
	}
	if err == nil {
		err = s.settle(ruleset, note)
	}
	if err != nil && !errors.Is(err, errElsewhere) {
		if s.unsettled == nil {
			s.unsettled = map[datapath.Dir]error{}
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
func (s *Store) settle(ruleset datapath.Dir, note *attachment.Intent) error {
	key, err := decodeKey(note.Owner)
	if err != nil {
		return nil //nolint:nilerr // nobody knows what it is about
	}
	active, err := ruleset.IsEnabled(note.Activation())
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
		err = ruleset.Disable(note.Activation()) // it was removed since
	}
	if err != nil {
		return err
	}
	return ruleset.EndHandOver()
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
	isPlaced, err := old.folder.IsPlaced()
	switch {
	case err != nil:
		return err
	case !active && isPlaced:
		return old.folder.Restore(old.ruleset)
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
	removeEmpty(filepath.Dir(string(old.folder)), old.ruleset)
	return nil
}

func takeOver(folder attachment.Folder, ruleset datapath.Dir) error {
	programs, err := ruleset.OpenAll()
	if err != nil {
		return err
	}
	defer programs.Close()
	if err := folder.Replace(programs); err != nil {
		return err
	}
	return folder.Clear(programs)
}

// finish takes over what the old programs counted, once they run no more, and
// ends their heeding the device. Where they heed it no more, that was done.
func finish(old, moved published, note *attachment.Intent) error {
	record, err := moved.folder.Record()
	if err != nil {
		return err
	}
	if record.CarriedFrom != note.From {
		if err := carry(old, moved, note); err != nil {
			return err
		}
	}
	return old.ruleset.Disable(note.Activation())
}

func carry(old, moved published, note *attachment.Intent) error {
	kernel.Quiesce()
	rs, err := moved.ruleset.Description()
	if err != nil {
		return err
	}
	carried, err := moved.folder.CarryCounters(old.ruleset, rs.Rules)
	switch {
	case err == nil, errors.Is(err, os.ErrNotExist): // what somebody removed is lost
	case errors.Is(err, pin.ErrPin):
		return err
	default:
		return fmt.Errorf("%w: take over the counters: %w", hook.ErrAttach, err)
	}
	return moved.folder.Carry(carried, note.From, note.ContainerRules)
}

// exists tells whether the attachment is published. What is no folder is
// somebody else's.
func (a published) exists() (bool, error) {
	info, err := os.Lstat(string(a.folder))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: look for an attachment: %w", bpffs.ErrUnusable, err)
	}
	return info.IsDir(), nil
}
