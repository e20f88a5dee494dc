package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/xdp-port/xdp-port/pkg/build"
	"github.com/xdp-port/xdp-port/pkg/cli"
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
			b := build.Read()
			header := doc.GenManHeader{Section: "8", Source: manSource(b), Manual: "xdp-port", Date: b.Time}
			err := cli.WriteManPages(command.Root(), args[0], header)
			if err == nil {
				fmt.Fprintf(t.err, "man pages are in %s\n", args[0])
			}
			return err
		},
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
