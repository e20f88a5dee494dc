package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// sweep removes what processes that died left behind: what is in tmp, and
// rulesets that were loaded for an attachment that never came.
func (s *Store) sweep() error {
	left, err := os.ReadDir(s.tmp())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("sweep: %w", err)
	}
	var errs []error
	for _, folder := range left {
		errs = append(errs, discard(filepath.Join(s.tmp(), folder.Name())))
	}
	rulesets, err := s.listRulesets()
	errs = append(errs, err)
	for _, ruleset := range rulesets {
		errs = append(errs, s.prune(ruleset))
	}
	return errors.Join(errs...)
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
