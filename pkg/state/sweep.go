package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// sweep removes what processes that died left behind: what is in tmp, what they
// had claimed, and rulesets that were loaded for an attachment that never came.
// What cannot be removed stays for the next sweep: it must not keep others from
// their work.
func (s *Store) sweep() {
	for _, folder := range foldersIn(s.tmp()) {
		// Folders in it may be left that are empty, if removing them failed.
		_, _ = hasUsers(datapath.Dir(folder))
		_ = discard(folder)
	}
	s.sweepClaims()
	rulesets, _ := s.listRulesets()
	for _, ruleset := range rulesets {
		s.prune(ruleset)
	}
}

// sweepClaims does what the owners of claims who died have left to do: containers
// that they took off to attach them in another way come last, when nothing is in
// their way any more.
func (s *Store) sweepClaims() {
	for _, a := range s.sweepOthers() {
		s.restoreKept(a)
	}
}

// sweepOthers does all but to put back what was taken off, which it returns.
func (s *Store) sweepOthers() (left []published) {
	rulesets, _ := s.listRulesets()
	for _, ruleset := range rulesets {
		for _, folder := range claimsOf(ruleset) {
			if isAlive(folder) {
				continue
			}
			switch _, err := folder.Kept(); {
			case err == nil:
				left = append(left, published{ruleset, folder})
			case !attachment.IsNoRecord(err): // for now
			case s.settleExchange(ruleset, folder) == nil:
				_ = discard(folder)
			}
		}
	}
	return left
}

// restoreKept puts back what the dead owner of a claim had taken off. What cannot
// be put back stays for the next sweep.
func (s *Store) restoreKept(a published) {
	record, err := a.folder.Kept()
	if err != nil {
		return
	}
	if err := s.restore(a.ruleset, record); err == nil {
		_ = discard(a.folder)
	} else if key, failed := decodeKey(record.Owner); failed == nil {
		if s.unrestored == nil {
			s.unrestored = map[Key]error{}
		}
		s.unrestored[key] = err
	}
}

// foldersIn returns the folders in one, but not what links lead to: those are
// somebody else's.
func foldersIn(top string) []string {
	entries, _ := os.ReadDir(top) // what cannot be read has nothing for us
	var folders []string
	for _, entry := range entries {
		if entry.IsDir() {
			folders = append(folders, filepath.Join(top, entry.Name()))
		}
	}
	return folders
}

// prune removes the ruleset if nobody uses it. Without the lock, or where it
// cannot be read, nobody can tell; then a sweep to come does.
func (s *Store) prune(ruleset datapath.Dir) {
	if s.lock == nil {
		return
	}
	if used, err := hasUsers(ruleset); used || err != nil {
		return
	}
	_ = s.retire(ruleset)
}

// hasUsers tells whether a ruleset has claims or attachments. Their folders, if
// they are empty, are removed.
func hasUsers(ruleset datapath.Dir) (bool, error) {
	for _, users := range []struct {
		folder string
		levels int
	}{
		{claims(ruleset), 1},
		{attachments(ruleset), 3},
	} {
		if used, err := isUsed(users.folder, users.levels); used || err != nil {
			return used, err
		}
	}
	return false, nil
}

// isUsed tells whether there is any folder so many levels below top. It looks
// no further than the first, since there can be thousands; folders that have
// none are removed on the way, top too. What is no folder is somebody else's.
func isUsed(top string, levels int) (bool, error) {
	if levels == 0 {
		return true, nil
	}
	f, err := os.Open(top)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", bpffs.ErrUnusable, err)
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(1)
		if errors.Is(err, io.EOF) {
			removeEmpty(top, filepath.Dir(top))
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("%w: list %s: %w", bpffs.ErrUnusable, top, err)
		}
		if !entries[0].IsDir() {
			continue
		}
		if used, err := isUsed(filepath.Join(top, entries[0].Name()), levels-1); used || err != nil {
			return used, err
		}
	}
}

// discard removes an unpublished folder, be it an attachment or a ruleset, but
// not what somebody else has put into folders in it.
func discard[F ~string](folder F) error {
	if err := attachment.Folder(folder).Detach(); err != nil {
		return fmt.Errorf("remove %s: %w", folder, err)
	}
	if err := datapath.Dir(folder).Unpin(); err != nil {
		return fmt.Errorf("%w: remove %s: %w", bpffs.ErrUnusable, folder, err)
	}
	removeEmptyIn(string(folder))
	err := unix.Rmdir(string(folder))
	if err == nil || errors.Is(err, os.ErrNotExist) || isNotEmpty(err) && len(foldersIn(string(folder))) > 0 {
		return nil
	}
	return fmt.Errorf("%w: remove %s: %w", bpffs.ErrUnusable, folder, err)
}

// removeEmptyIn removes the folders in one that have nothing but empty folders.
func removeEmptyIn(folder string) {
	for _, child := range foldersIn(folder) {
		removeEmptyIn(child)
		_ = unix.Rmdir(child)
	}
}

func isNotEmpty(err error) bool { return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) }

// retire moves a ruleset out of sight at once, then removes it.
func (s *Store) retire(ruleset datapath.Dir) error {
	if _, err := os.Stat(string(ruleset)); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	aside, err := s.freeName(s.tmp(), "")
	if err != nil {
		return err
	}
	if err := os.Rename(string(ruleset), aside); err != nil {
		return fmt.Errorf("%w: remove %s: %w", bpffs.ErrUnusable, ruleset, err)
	}
	return discard(aside)
}
