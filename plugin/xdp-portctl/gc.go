package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/gc"
	"github.com/xdp-port/xdp-port/pkg/state"
)

func (t *tool) gc() *cobra.Command {
	var dryRun bool
	command := &cobra.Command{
		Use:   "gc",
		Short: "Remove attachments of containers or devices that are gone",
		Long: `Remove the attachments of containers that are gone together with their veth. They
remain if a container ends without DEL, for example when a node's runtime is
reinstalled. Also remove what interrupted processes left unfinished. Attachments to
existing devices stay.

Exits with 1 if it cannot determine whether a device is gone, or if it cannot restore
the rules that a container lost in an interrupted change. With --dry-run it exits
with 1 if there is anything to do.`,
		Example: `  xdp-portctl gc --dry-run
  xdp-portctl gc`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if dryRun {
				return t.printGarbage()
			}
			keys, err := gc.Collect()
			if err != nil && len(keys) == 0 {
				return err
			}
			return errors.Join(t.printCollected(keys, "removed"), err)
		},
	}
	command.Flags().BoolVar(&dryRun, "dry-run", false, "show what would be removed, and remove nothing")
	return command
}

// printGarbage prints what would be removed.
func (t *tool) printGarbage() error {
	keys, err := gc.Find()
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
		_, err := fmt.Fprintln(t.err, "nothing to remove")
		return err
	}
	w := t.newTable(column("network", cuts), column("container", 0), column("interface", 0), column("", 0))
	for _, key := range keys {
		w.Row(key.Network, shortID(key.Container), key.Interface, what)
	}
	return t.printTable(w)
}
