// Package gc removes the attachments of containers and devices that are gone.
//
// An attachment becomes garbage if its container dies without DEL, as all do when a node's
// runtime is reinstalled.
package gc

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Collect removes garbage and returns what it removed. It also removes what interrupted
// processes left half-made.
//
// It looks for garbage without the lock, so that containers can start and stop meanwhile. It
// takes the lock only if there is any.
func Collect() ([]state.Key, error) {
	netns, err := veth.OwnNetNS()
	if err != nil {
		return nil, err
	}
	list, err := inspect.Attachments()
	if err != nil {
		return nil, err
	}
	isAny := slices.ContainsFunc(list, func(a inspect.Attachment) bool { return a.Gone || a.Undetermined })
	store, err := state.OpenExisting() // removes what is half-made
	if errors.Is(err, os.ErrNotExist) {
		return nil, bpffs.Visible()
	}
	if err != nil {
		return nil, err
	}
	var keys []state.Key
	if isAny {
		keys, err = store.CollectGone(netns)
	}
	return keys, errors.Join(err, store.Unrestored(), store.Close())
}

// Find returns what Collect would remove, and an error for each attachment that it could
// neither keep nor remove.
func Find() ([]state.Key, error) {
	list, err := inspect.Attachments()
	if err != nil {
		return nil, err
	}
	var keys []state.Key
	var errs []error
	for i := range list {
		switch a := &list[i]; {
		case a.Gone:
			keys = append(keys, a.Key())
		case a.Undetermined, a.Interrupted:
			errs = append(errs, fmt.Errorf("%s: %s", a.Key(), strings.Join(a.Problems, "; ")))
		}
	}
	return keys, errors.Join(errs...)
}
