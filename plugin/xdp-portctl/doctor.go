package main

import (
	"errors"
	"slices"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/doctor"
)

func (t *tool) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Look what of this machine works for xdp-port, what does not, and how to fix it",
		Long: `Look at the kernel, privileges, the BPF file system, tcx, the JIT, offloads, and
programs of others; say what works, what does not, and the fix. Nothing is
changed. Run it in the network and mount namespace of the container runtime.

Exits with 1 if something does not work; what only works less well is a warning.`,
		Example: `  xdp-portctl doctor
  xdp-portctl doctor -o json | jq '.findings[] | select(.status != "fine")'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			findings := doctor.Examine()
			err := t.printFindings(findings)
			if slices.ContainsFunc(findings, func(f doctor.Finding) bool { return f.Status == doctor.Wrong }) {
				err = errors.Join(err, errFound)
			}
			return err
		},
	}
}

var statusColours = map[doctor.Status]text.Color{
	doctor.Fine: text.FgGreen, doctor.Warning: text.FgYellow, doctor.Wrong: text.FgRed, doctor.Unknown: text.FgYellow,
}

func (t *tool) printFindings(findings []doctor.Finding) error {
	if t.wantsJSON() {
		return t.printJSON(struct {
			schema
			Findings []doctor.Finding `json:"findings"`
		}{schemaNow, findings})
	}
	w := t.newTable(column{"check", 0}, column{"status", 0}, column{"", wraps})
	const checkWidth = 24 // what is found, and above all a command to type, has more to say
	for _, f := range findings {
		check := f.Check
		if !w.isWide {
			check = text.WrapSoft(check, checkWidth)
		}
		w.row(check, t.paint(statusColours[f.Status], string(f.Status)), f.Detail)
		if f.Mend != "" {
			w.row("", "", "-> "+f.Mend)
		}
	}
	return t.printTable(w)
}
