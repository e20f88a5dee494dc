package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

// build says what this binary was made of.
type build struct {
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Go      string `json:"go"`

	time *time.Time // of the commit; nil where it is not known
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
		switch setting.Key {
		case "vcs.revision":
			b.Commit = setting.Value
		case "vcs.time":
			if at, err := time.Parse(time.RFC3339, setting.Value); err == nil {
				b.time = &at
			}
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
			_, err := fmt.Fprintln(t.out, strings.Join(strings.Fields("xdp-portctl "+b.Version+" "+b.Commit+" "+b.Go), " "))
			return err
		},
	}
}
