package main

import (
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/doctor"
	"github.com/xdp-port/xdp-port/pkg/terminal"
)

func (t *tool) doctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check whether this machine can run xdp-port, and what to fix",
		Long: `Check the kernel, privileges, the BPF file system, tcx, the JIT, offloads, and
foreign programs. Say what works, what does not, and how to fix it. Nothing is
changed. Run it in the network and mount namespaces of the container runtime.

Exits with 1 if something does not work. What works but could work better is a
warning.`,
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

var statusColours = map[doctor.Status]terminal.Colour{
	doctor.Fine: terminal.Green, doctor.Warning: terminal.Yellow, doctor.Wrong: terminal.Red, doctor.Unknown: terminal.Yellow,
}

func (t *tool) printFindings(findings []doctor.Finding) error {
	if t.wantsJSON() {
		return t.printJSON(struct {
			schema
			Findings []doctor.Finding `json:"findings"`
		}{schemaNow, findings})
	}
	w := t.newTable(column("check", 0), column("status", 0), column("", wraps))
	const checkWidth = 24 // leaves room for details and commands to type
	for _, f := range findings {
		check := f.Check
		if !w.IsWide() {
			check = terminal.WrapAt(check, checkWidth)
		}
		w.Row(check, t.out.Paint(statusColours[f.Status], string(f.Status)), f.Detail)
		if f.Fix != "" {
			w.Row("", "", "-> "+f.Fix)
		}
	}
	return t.printTable(w)
}
