package state

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// sweep removes what processes that died left behind: what is in tmp, and
// rulesets that were loaded for an attachment that never came. What cannot be
// removed stays for the next sweep: it must not keep others from their work.
func (s *Store) sweep() {
	left, _ := os.ReadDir(s.tmp())
	for _, folder := range left {
		_ = discard(filepath.Join(s.tmp(), folder.Name()))
	}
	rulesets, _ := s.listRulesets()
	for _, ruleset := range rulesets {
		_ = s.prune(ruleset)
	}
}

// discard removes an unpublished folder, be it an attachment or a ruleset.
func discard(folder string) error {
	if err := datapath.Detach(folder); err != nil {
		return fmt.Errorf("remove %s: %w", folder, err)
	}
	if err := datapath.Unpin(folder); err != nil {
		return fmt.Errorf("remove %s: %w", folder, err)
	}
	return os.RemoveAll(folder)
}

// retire moves a published folder out of sight at once, then removes it.
func (s *Store) retire(folder string) error {
	aside, err := s.temporaryName()
	if err != nil {
		return err
	}
	if err := os.Rename(folder, aside); err != nil {
		return fmt.Errorf("remove %s: %w", folder, err)
	}
	return discard(aside)
}
