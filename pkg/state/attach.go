package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Attach brings the interface's host side under the rules. An attachment that
// is as wanted already stays untouched; another one of the same key is
// replaced. On an error nothing new is left, and what was there before stays.
//
// Returns an error wrapping datapath.ErrLoad, hook.ErrAttach,
// pin.ErrPin, bpffs.ErrUnusable or *hook.ForeignError where the kernel refuses,
// *attachment.BypassError where a rule cannot be enforced.
func (s *Store) Attach(key Key, site hook.InterfaceState, wanted Wanted) error {
	return s.bring(key, site, wanted, s.lookAhead)
}

// bring is what Attach and Change have in common. Change does not look who is
// ahead: it takes nothing off to be first, and refuses nothing.
func (s *Store) bring(
	key Key, site hook.InterfaceState, wanted Wanted, lookAhead func([]published, Wanted) (isBehind bool, err error),
) error {
	now, err := s.assess(key, site, wanted, lookAhead)
	if err != nil || now.isServed(site.Device) {
		return err
	}
	if !isLoaded(now.ruleset) {
		hold, err := s.loadAside(key, site.Device, now)
		if err != nil {
			return err
		}
		defer s.letGo(hold, now.ruleset)
		if now, err = s.assess(key, site, wanted, lookAhead); err != nil || now.isServed(site.Device) {
			return err
		}
	}
	return s.attachLoaded(key, site, now)
}

// situation is what a key has, and what its device is to get beside that.
type situation struct {
	existing []published
	wanted   Wanted // one of the two rulesets
	ruleset  datapath.Dir
	// isBehind tells that others are ahead of what is there, and that it is to be
	// attached anew.
	isBehind bool
}

// isServed tells whether all is as it should be.
func (s *situation) isServed(dev hook.Device) bool {
	return !s.isBehind && served(s.existing, s.ruleset, dev, s.wanted)
}

// assess finds out what is to be done. Nothing of anybody else is in the way then.
func (s *Store) assess(
	key Key, site hook.InterfaceState, wanted Wanted, lookAhead func([]published, Wanted) (isBehind bool, err error),
) (now situation, err error) {
	if now.existing, err = s.find(key); err != nil {
		return now, err
	}
	now.wanted = wanted.choose(now.existing, site)
	now.ruleset = s.folder(now.wanted)
	if err := s.mayHave(site, wanted.Ruleset.NetNS, now.existing); err != nil {
		return now, err
	}
	if err := renameAll(now.existing, site.Device, wanted.Ruleset.NetNS); err != nil {
		return now, err
	}
	now.isBehind, err = lookAhead(now.existing, now.wanted)
	return now, err
}

// attachLoaded attaches where the ruleset is loaded. If something has changed so
// that it is not, it is loaded while others wait.
func (s *Store) attachLoaded(key Key, site hook.InterfaceState, now situation) error {
	dev, existing, ruleset, wanted := site.Device, now.existing, now.ruleset, now.wanted
	record := attachment.Record{
		Owner: key.encode(), ID: datapath.NewID(), Device: dev, NetNS: wanted.Ruleset.NetNS,
		Mode: wanted.Ruleset.Mode, Hook: wanted.Hook, ContainerRules: wanted.ContainerRules,
	}
	record.SetSeen(site)
	switch {
	case len(existing) == 0:
		if err := s.removeLost(site); err != nil {
			return err
		}
		return s.attachNew(key, record, ruleset, wanted)
	case !now.isBehind && len(existing) == 1 && existing[0].ruleset != ruleset && existing[0].canBecome(dev, wanted):
		return s.replace(key, existing[0], dev, ruleset, wanted)
	default:
		return s.attachAnew(key, existing, site, record, ruleset, wanted)
	}
}

// mayHave returns a *hook.ForeignError if the device is another attachment's.
func (s *Store) mayHave(site hook.InterfaceState, netns veth.NetNS, existing []published) error {
	if site.HasOwn && len(existing) == 0 {
		if err := s.refuseShared(site.Device, netns); err != nil {
			return err
		}
	}
	return s.clearWay(site.Device, netns, existing)
}

// renameAll notes what the device is called now, where somebody gave it another
// name since.
func renameAll(existing []published, dev hook.Device, netns veth.NetNS) error {
	for _, a := range existing {
		record, err := a.folder.Record()
		if err != nil || !record.NetNS.Is(netns) || record.Device.Index != dev.Index || record.Device.Name == dev.Name {
			continue
		}
		record.Device.Name = dev.Name
		if err := a.folder.Rename(record.Device); err != nil {
			return err
		}
	}
	return nil
}

// attachNew attaches where nothing is. A ruleset that is loaded is opened without
// the lock, too.
func (s *Store) attachNew(key Key, record attachment.Record, ruleset datapath.Dir, wanted Wanted) error {
	if err := s.alone(key); err != nil {
		return err
	}
	if _, err := os.Stat(string(ruleset)); err == nil {
		err := s.attach(key, record, ruleset, wanted.Ruleset, func() (*datapath.Programs, error) { return openLoaded(ruleset, wanted) })
		if s.lock == nil || !errors.Is(err, errIncomplete) {
			return err
		}
	}
	programs, err := s.ensureRuleset(ruleset, wanted, "")
	if err != nil {
		return err
	}
	return s.attach(key, record, ruleset, wanted.Ruleset, func() (*datapath.Programs, error) { return programs, nil })
}

// errIncomplete says that somebody removed pins of a ruleset.
var errIncomplete = errors.New("the ruleset is not complete")

func openLoaded(ruleset datapath.Dir, wanted Wanted) (*datapath.Programs, error) {
	programs, err := ruleset.OpenWhole(wanted.Ruleset.Hooks())
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("%w: %w", errIncomplete, err)
	}
	return programs, err
}

// attach builds the attachment aside and publishes it; only then the programs
// are told to heed the device. A process that dies on the way leaves a
// container wholly without rules. On an error nothing is left, nor the ruleset
// if nobody else uses it. Without rs nobody asks whether rules can be enforced.
func (s *Store) attach(key Key, record attachment.Record, ruleset datapath.Dir, rs *datapath.Ruleset, open func() (*datapath.Programs, error)) (err error) {
	defer func() {
		if err != nil {
			s.prune(ruleset)
		}
	}()
	claim, err := s.claim(ruleset, key)
	if err != nil {
		return err
	}
	var programs *datapath.Programs
	// Each tcx link makes the kernel wait; others are not to wait for that.
	err = s.unlocked(func() (err error) {
		if programs, err = open(); err != nil {
			return err
		}
		if err := claim.folder.Attach(programs, &record); err != nil {
			return err
		}
		return s.vet(&record, claim.folder, ruleset, rs)
	})
	if programs != nil {
		defer programs.Close()
	}
	if err != nil {
		return errors.Join(err, claim.discard())
	}
	published := attachmentOf(ruleset, key)
	// Another one may have come while nobody had the lock.
	err = s.clearWay(record.Device, record.NetNS, nil)
	if err == nil {
		err = claim.publish(published.folder)
	}
	if err != nil {
		err = errors.Join(err, claim.discard())
		removeEmpty(filepath.Dir(string(published.folder)), ruleset)
		return err
	}
	if err := programs.Enable(record.Activation()); err != nil {
		return errors.Join(err, s.remove(published))
	}
	return nil
}

// ensureRuleset opens the loaded ruleset, or loads it. replaced is the folder of
// the one that it is to replace, or empty.
func (s *Store) ensureRuleset(folder datapath.Dir, wanted Wanted, replaced datapath.Dir) (*datapath.Programs, error) {
	programs, err := folder.OpenWhole(wanted.Ruleset.Hooks())
	if !errors.Is(err, os.ErrNotExist) {
		return programs, err
	}
	shared, err := s.shared(replaced)
	if err != nil {
		return nil, err
	}
	defer shared.Close()
	programs, err = datapath.Load(wanted.Ruleset, wanted.Table, shared)
	if err != nil {
		return nil, err
	}
	if err := s.publishRuleset(folder, wanted.Ruleset, programs); err != nil {
		return nil, errors.Join(err, programs.Close())
	}
	return programs, nil
}

func (s *Store) publishRuleset(folder datapath.Dir, rs *datapath.Ruleset, programs *datapath.Programs) error {
	building, err := s.temporary()
	if err != nil {
		return err
	}
	if err := errors.Join(programs.PinDescription(datapath.Dir(building), rs), programs.Pin(datapath.Dir(building))); err != nil {
		return errors.Join(err, discard(building))
	}
	err = publish(building, folder)
	if errors.Is(err, os.ErrExist) {
		err = mend(building, string(folder))
	}
	if err != nil {
		return errors.Join(err, discard(building))
	}
	return nil
}

// mend moves the pins of a ruleset one by one to where its folder is already: with
// claims of those who wait for it, or with attachments, where somebody removed
// some pins.
func mend(building, folder string) error {
	entries, err := os.ReadDir(building)
	for _, entry := range entries {
		err = errors.Join(err, os.Rename(filepath.Join(building, entry.Name()), filepath.Join(folder, entry.Name())))
	}
	if err == nil {
		err = os.Remove(building)
	}
	if err != nil {
		return fmt.Errorf("%w: complete %s: %w", bpffs.ErrUnusable, folder, err)
	}
	return nil
}
