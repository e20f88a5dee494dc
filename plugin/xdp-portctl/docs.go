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
		Long: `Write a man page for the tool and for each of its commands into a folder, which is
made if it is not there.`,
		Example: `  xdp-portctl docs /usr/local/share/man/man8
  xdp-portctl docs man && man -l man/xdp-portctl-trace.8`,
		Args: cobra.ExactArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			root := command.Root()
			root.DisableAutoGenTag = true
			b := build.Read()
			err := doc.GenManTree(root, &doc.GenManHeader{
				Section: "8", Source: "xdp-port " + b.Version, Manual: "xdp-port", Date: b.Time,
			}, args[0])
			if err == nil {
				fmt.Fprintf(t.err, "man pages are in %s\n", args[0])
			}
			return err
		},
	}
}
