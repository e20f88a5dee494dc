package state

import (
	"errors"
	"fmt"
	"path/filepath"
)

// Collect removes a network's attachments that are not in valid. It goes on
// past those that cannot be removed, and reports them.
func (s *Store) Collect(network string, valid map[Key]bool) error {
	found, err := s.list(network)
	errs := []error{err}
	for key, attachments := range found {
		if valid[key] {
			continue
		}
		for _, attachment := range attachments {
			if err := s.remove(attachment); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", key, err))
			}
		}
	}
	return errors.Join(errs...)
}

// list returns all attachments of a network.
func (s *Store) list(network string) (map[Key][]attachment, error) {
	rulesets, err := s.listRulesets()
	if err != nil {
		return nil, err
	}
	found := map[Key][]attachment{}
	var errs []error
	for _, ruleset := range rulesets {
		folders, err := filepath.Glob(filepath.Join(attachments(ruleset), encodeName(network), "*", "*"))
		if err != nil {
			return nil, err
		}
		for _, folder := range folders {
			key, err := keyAt(folder)
			errs = append(errs, err)
			if err == nil {
				found[key] = append(found[key], attachment{ruleset: ruleset, folder: folder})
			}
		}
	}
	return found, errors.Join(errs...)
}

// keyAt is the reverse of Key.path.
func keyAt(folder string) (Key, error) {
	var names [3]string
	for i := 2; i >= 0; i-- {
		name, err := decodeName(filepath.Base(folder))
		if err != nil {
			return Key{}, fmt.Errorf("%s is not xdp-port's: %w", folder, err)
		}
		names[i] = name
		folder = filepath.Dir(folder)
	}
	return Key{Network: names[0], Container: names[1], Interface: names[2]}, nil
}
