package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// sweep removes what processes that died left in tmp.
func (s *Store) sweep() error {
	left, err := os.ReadDir(s.tmp())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sweep: %w", err)
	}
	var errs []error
	for _, folder := range left {
		errs = append(errs, discard(filepath.Join(s.tmp(), folder.Name())))
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
