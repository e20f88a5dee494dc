package state

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Collect removes a network's attachments that are not valid, but for those in
// another network namespace than netns, which another node's runtime looks
// after. It goes on past what cannot be removed, and reports it.
func (s *Store) Collect(network string, valid []Key, netns veth.NetNS) error {
	keep := map[string]bool{}
	for _, key := range valid {
		keep[key.path()] = true
	}
	isValid := func(key Key) bool { return keep[key.path()] || keep[key.inJSON().path()] }
	list, err := s.list()
	errs := []error{err}
	for i := range list {
		a := published{ruleset: list[i].RulesetFolder, folder: list[i].Folder}
		if !a.isOf(network) || keep[a.path()] || isValid(list[i].Key) || !a.isIn(netns) {
			continue
		}
		if err := s.remove(a); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", list[i].Key, err))
		}
	}
	if s.lock != nil {
		errs = append(errs, s.forget(func(key Key) bool { return key.Network == network && !isValid(key) }))
	}
	return errors.Join(errs...)
}

// path names the attachment as Key.path does.
func (a published) path() string {
	path, _ := filepath.Rel(attachments(a.ruleset), string(a.folder))
	return path
}

func (a published) isOf(network string) bool {
	return strings.HasPrefix(a.path(), fileName(network)+"/")
}

// isIn tells whether the attachment is in a network namespace, as far as its
// record says.
func (a published) isIn(netns veth.NetNS) bool {
	record, err := a.folder.Record()
	return err != nil || record.NetNS.Is(netns) || record.NetNS.IsSucceededBy(netns)
}
