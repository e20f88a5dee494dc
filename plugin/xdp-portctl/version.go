package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// build says what this binary was made of.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`
}

// buildOf reads what the Go tool has noted down.
func buildOf() build {
	b := build{Version: "(devel)", Go: runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	if info.Main.Version != "" {
		b.Version = info.Main.Version
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			b.Commit = setting.Value
		}
	}
	return b
}

func (t *tool) version() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  xdp-portctl version",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b := buildOf()
			if t.wantsJSON() {
				return t.printJSON(b)
			}
			_, err := fmt.Fprintf(t.out, "xdp-portctl %s %s %s\n", b.Version, b.Commit, b.Go)
			return err
		},
	}
}
