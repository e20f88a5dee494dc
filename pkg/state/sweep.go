package state

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// sweep removes what processes that died left behind: what is in tmp, what they
// had claimed, and rulesets that were loaded for an attachment that never came.
// What cannot be removed stays for the next sweep: it must not keep others from
// their work.
func (s *Store) sweep() {
	for _, folder := range foldersIn(s.tmp()) {
		// Folders in it may be left that are empty, if removing them failed.
		_, _ = hasUsers(folder)
		_ = discard(folder)
	}
	s.sweepClaims()
	rulesets, _ := s.listRulesets()
	for _, ruleset := range rulesets {
		s.prune(ruleset)
	}
}

// sweepClaims does what the owners of claims who died have left to do.
func (s *Store) sweepClaims() {
	rulesets, _ := s.listRulesets()
	for _, ruleset := range rulesets {
		for _, folder := range foldersIn(claims(ruleset)) {
			if !isAlive(folder) && s.settleExchange(ruleset, folder) == nil {
				_ = discard(folder)
			}
		}
	}
}

func foldersIn(top string) []string {
	entries, _ := os.ReadDir(top) // what cannot be read has nothing for us
	folders := make([]string, len(entries))
	for i, entry := range entries {
		folders[i] = filepath.Join(top, entry.Name())
	}
	return folders
}

// prune removes the ruleset if nobody uses it. Without the lock, or where it
// cannot be read, nobody can tell; then a sweep to come does.
func (s *Store) prune(ruleset string) {
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
func hasUsers(ruleset string) (bool, error) {
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
// none are removed on the way, top too.
func isUsed(top string, levels int) (bool, error) {
	if levels == 0 {
		return true, nil
	}
	for {
		child, err := firstIn(top)
		if err != nil {
			return false, err
		}
		if child == "" {
			removeEmpty(top, filepath.Dir(top))
			return false, nil
		}
		if used, err := isUsed(child, levels-1); used || err != nil {
			return used, err
		}
	}
}

// firstIn returns any one entry of a folder, or "" if there is none.
func firstIn(folder string) (string, error) {
	f, err := os.Open(folder)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrBPFFS, err)
	}
	defer f.Close()
	names, err := f.Readdirnames(1)
	if errors.Is(err, io.EOF) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%w: list %s: %w", ErrBPFFS, folder, err)
	}
	return filepath.Join(folder, names[0]), nil
}

// discard removes an unpublished folder, be it an attachment or a ruleset, but
// not what it has folders for: that would be somebody's.
func discard(folder string) error {
	if err := datapath.Detach(folder); err != nil {
		return fmt.Errorf("remove %s: %w", folder, err)
	}
	_ = unix.Rmdir(revocation(folder))
	if err := datapath.Unpin(folder); err != nil {
		return fmt.Errorf("%w: remove %s: %w", ErrBPFFS, folder, err)
	}
	if err := unix.Rmdir(folder); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: remove %s: %w", ErrBPFFS, folder, err)
	}
	return nil
}

// retire moves a ruleset out of sight at once, then removes it.
func (s *Store) retire(ruleset string) error {
	if _, err := os.Stat(ruleset); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	aside, err := s.freeName(s.tmp(), "")
	if err != nil {
		return err
	}
	if err := os.Rename(ruleset, aside); err != nil {
		return fmt.Errorf("%w: remove %s: %w", ErrBPFFS, ruleset, err)
	}
	return discard(aside)
}
