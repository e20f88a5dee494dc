package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/build"
)

func (t *tool) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  xdp-portctl version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := build.Read()
			if t.wantsJSON() {
				return t.printJSON(struct {
					schema
					build.Info
				}{schemaNow, b})
			}
			_, err := fmt.Fprintln(t.out, "xdp-portctl", b)
			return err
		},
	}
}
