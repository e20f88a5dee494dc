package cli

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// WriteManPages writes man pages of a command and its subcommands into a folder. It creates
// the folder if it is missing.
func WriteManPages(root *cobra.Command, folder string, header doc.GenManHeader) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	root.DisableAutoGenTag = true
	hideShells(root)
	return doc.GenManTree(root, &header, folder)
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
