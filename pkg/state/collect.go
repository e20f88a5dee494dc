package state

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// Collect removes a network's attachments that are not valid, but for those in
// another network namespace than netns, which another node's runtime looks
// after. It goes on past what cannot be removed, and reports it.
func (s *Store) Collect(network string, valid []Key, netns uint64) error {
	keep := map[string]bool{}
	for _, key := range valid {
		keep[key.path()] = true
	}
	rulesets, err := s.listRulesets()
	errs := []error{err}
	for _, ruleset := range rulesets {
		for _, path := range pathsOf(ruleset, network) {
			a := attachment{ruleset: ruleset, folder: filepath.Join(attachments(ruleset), path)}
			key := keyOf(a.folder)
			if keep[path] || keep[key.inJSON().path()] || !a.isIn(netns) {
				continue
			}
			if err := s.remove(a); err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", key, err))
			}
		}
	}
	return errors.Join(errs...)
}

// pathsOf returns the attachments of a network as Key.path names them.
func pathsOf(ruleset, network string) []string {
	top := attachments(ruleset)
	folders, _ := filepath.Glob(filepath.Join(top, fileName(network), "*", "*")) // the pattern is good
	for i := range folders {
		folders[i], _ = filepath.Rel(top, folders[i])
	}
	return folders
}

// isIn tells whether the attachment is in a network namespace, as far as its
// record says.
func (a attachment) isIn(netns uint64) bool {
	record, err := datapath.ReadRecord(a.folder)
	return err != nil || record.NetNS == netns
}
