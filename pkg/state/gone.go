package state

import (
	"errors"
	"fmt"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// CollectGone removes the attachments whose device is gone, with or without its
// container, as seen from a network namespace, the caller's. It goes on past
// what cannot be removed, and reports it; it returns the keys of what was.
func (s *Store) CollectGone(netns veth.NetNS) (collected []Key, err error) {
	listed, err := s.list()
	errs := []error{err}
	examiner := attachment.NewExaminer(netns)
	defer examiner.Close()
	for i := range listed {
		l := &listed[i]
		health := examiner.Examine(l.Folder, l.RulesetFolder)
		if health.Undetermined {
			errs = append(errs, fmt.Errorf("%s is left alone: %s", l.Key, strings.Join(health.Problems, "; ")))
		}
		if !health.Gone {
			continue
		}
		if err := s.remove(published{ruleset: l.RulesetFolder, folder: l.Folder}); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", l.Key, err))
			continue
		}
		collected = append(collected, l.Key)
	}
	return collected, errors.Join(errs...)
}
