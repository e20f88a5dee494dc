package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/xdp-port/xdp-port/pkg/build"
)

func (t *tool) docs() *cobra.Command {
	return &cobra.Command{
		Use:   "docs FOLDER",
		Short: "Write man pages",
		Long: `Write man pages of the tool and of each command into a folder. The folder is created
if it is missing.`,
		Example: `  xdp-portctl docs /usr/local/share/man/man8
  xdp-portctl docs man && man -l man/xdp-portctl-trace.8`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := command.Root()
			root.DisableAutoGenTag = true
			hideShells(root)
			b := build.Read()
			err := doc.GenManTree(root, &doc.GenManHeader{
				Section: "8", Source: manSource(b), Manual: "xdp-port", Date: b.Time,
			}, args[0])
			if err == nil {
				fmt.Fprintf(t.err, "man pages are in %s\n", args[0])
			}
			return err
		},
	}
}

// hideShells leaves out the pages of completion's subcommands. Their titles are too long for
// a page of 80 columns, and the page of completion says the same.
func hideShells(root *cobra.Command) {
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		for _, shell := range completion.Commands() {
			shell.Hidden = true
		}
	}
}

// manSource is the left part of a page's footer. A pseudo-version is too long there and would
// overlap the date.
func manSource(b build.Info) string {
	const most, digits = 16, 12
	switch {
	case len(b.Version) <= most:
		return "xdp-port " + b.Version
	case b.Commit != "":
		return "xdp-port " + b.Commit[:min(len(b.Commit), digits)]
	default:
		return "xdp-port"
	}
}
