package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

func (t *tool) gc() *cobra.Command {
	var dryRun bool
	command := &cobra.Command{
		Use:   "gc",
		Short: "Remove attachments whose container or device is gone",
		Long: `Remove what is left of containers that are gone, and with them their veth: they
died without DEL, as all do when a node's runtime is reinstalled. Whatever a
process that died has left half-made goes, too. What is attached to a device
that is there stays, whoever owns it.

It exits with 1 if it cannot tell whether a device is gone, or if a container is
without rules since a change of it was interrupted, and they cannot be put back.
With --dry-run it exits with 1 if there is anything to do.`,
		Example: `  xdp-portctl gc --dry-run
  xdp-portctl gc`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if dryRun {
				return t.showGone()
			}
			keys, err := collect()
			if err != nil && len(keys) == 0 {
				return err
			}
			return errors.Join(t.printCollected(keys, "removed"), err)
		},
	}
	command.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be removed, and remove nothing")
	return command
}

// collect removes what is gone. Containers can start and stop while it looks whether
// there is any: all of them are looked at with the lock only if there is.
func collect() ([]state.Key, error) {
	netns, err := veth.OwnNetNS()
	if err != nil {
		return nil, err
	}
	list, err := inspect.Attachments()
	if err != nil {
		return nil, err
	}
	isAny := slices.ContainsFunc(list, func(a inspect.Attachment) bool { return a.Gone || a.Undetermined })
	store, err := state.OpenExisting()
	if errors.Is(err, os.ErrNotExist) {
		return nil, bpffs.Visible()
	}
	if err != nil {
		return nil, err
	}
	var keys []state.Key
	if isAny { // what processes that died have left was removed by opening it
		keys, err = store.CollectGone(netns)
	}
	return keys, errors.Join(err, store.Unrestored(), store.Close())
}

func (t *tool) showGone() error {
	list, err := inspect.Attachments()
	if err != nil {
		return err
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
	err = errors.Join(errs...)
	switch {
	case err != nil && len(keys) == 0:
		return err
	case err == nil && len(keys) > 0:
		err = errFound
	}
	return errors.Join(t.printCollected(keys, "would be removed"), err)
}

// collected is an attachment that gc removes.
type collected struct {
	Network   string `json:"network"`
	Container string `json:"container"`
	Interface string `json:"interface"`
}

func (t *tool) printCollected(keys []state.Key, what string) error {
	if t.wantsJSON() {
		list := make([]collected, len(keys))
		for i, key := range keys {
			list[i] = collected(key)
		}
		return t.printJSON(struct {
			schema
			Attachments []collected `json:"attachments"`
		}{schemaNow, list})
	}
	if len(keys) == 0 {
		_, err := fmt.Fprintln(t.err, "nothing is left over")
		return err
	}
	w := t.newTable(column{"network", cuts}, column{"container", 0}, column{"interface", 0}, column{"", 0})
	for _, key := range keys {
		w.row(key.Network, shortID(key.Container), key.Interface, what)
	}
	return t.printTable(w)
}
