package state

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Collect removes the attachments of a network that are not valid. It keeps those in a
// network namespace other than netns, which belong to the runtime of another node. It
// continues after errors, and returns all of them.
func (t *Transaction) Collect(network string, valid []Key, netns veth.NetNS) error {
	keep := map[string]bool{}
	for _, key := range valid {
		keep[key.path()] = true
	}
	isValid := func(key Key) bool { return keep[key.path()] || keep[key.inJSON().path()] }
	published, err := t.attachments()
	errs := []error{err}
	for _, a := range published {
		key := a.key()
		if !a.isOf(network) || keep[a.keyPath()] || isValid(key) || !a.isIn(netns) {
			continue
		}
		if err := t.remove(a, releaseLock); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
		}
	}
	if t.lock.isHeld() {
		errs = append(errs, t.forget(func(key Key) bool { return key.Network == network && !isValid(key) }))
	}
	return errors.Join(errs...)
}

func (a entry) isOf(network string) bool {
	return strings.HasPrefix(a.keyPath(), fileName(network)+"/")
}

// isIn reports whether the attachment is in a network namespace. Without a readable
// record it counts as being there.
func (a entry) isIn(netns veth.NetNS) bool {
	record, err := a.Record()
	return err != nil || record.NetNS.Is(netns) || record.NetNS.IsSucceededBy(netns)
}

// CollectGone removes the attachments on devices that are gone, as seen from netns, the
// caller's network namespace. It continues after errors, and returns all of them and the
// removed keys in order.
func (t *Transaction) CollectGone(netns veth.NetNS) (collected []Key, err error) {
	published, err := t.attachments()
	errs := []error{err}
	examiner := attachment.NewExaminer(netns)
	defer examiner.Close()
	for _, a := range published {
		key := a.key()
		health := examiner.Examine(a.Folder, a.ruleset.Dir)
		if health.Undetermined {
			errs = append(errs, fmt.Errorf("%s is left alone: %s", key, strings.Join(health.Problems, "; ")))
		}
		if !health.Gone {
			continue
		}
		if err := t.remove(a, releaseLock); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", key, err))
			continue
		}
		collected = append(collected, key)
	}
	slices.SortFunc(collected, compareKeys)
	return collected, errors.Join(errs...)
}
