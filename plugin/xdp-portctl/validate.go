package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/terminal"
)

// remark is what is wrong, or odd, at one place of a configuration.
type remark struct {
	// File is the drop-in that it is in; empty for the conflist itself.
	File  string `json:"file,omitempty"`
	Place string `json:"place"`
	config.Position
	Problem string `json:"problem"`
}

// validation is what validate says of a file.
type validation struct {
	schema
	Valid  bool     `json:"valid"`
	Errors []remark `json:"errors"`
	// MoreErrors is how many there are beside the first 20.
	MoreErrors int      `json:"moreErrors"`
	Warnings   []remark `json:"warnings"`
}

func (t *tool) validate() *cobra.Command {
	var strict bool
	command := &cobra.Command{
		Use:   "validate CONFLIST",
		Short: "Check a network's configuration, without touching anything",
		Long: `Say what is wrong with a network's configuration, with line and column: what ADD
would refuse, and plugins beside xdp-port with which it would fail. Of many errors
the first 20 are listed, and how many more there are. Warn of rules that can never
match, because the rules before them match all their packets. Nothing is touched, and no
privileges are needed.

CONFLIST is a file, or - for stdin. Exits with 1 if there are errors, with
--strict also if there are warnings.`,
		Example: `  xdp-portctl validate /etc/cni/net.d/10-lab.conflist
  jq .networks.lab site.json | xdp-portctl validate --strict -`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeConflist,
		RunE: func(command *cobra.Command, args []string) error {
			c, err := t.read(command.Context(), args[0])
			v, err := examine(c, err)
			if err != nil {
				return err
			}
			err = t.printValidation(c, v)
			if !v.Valid || strict && len(v.Warnings) > 0 {
				err = errors.Join(err, errFound)
			}
			return err
		},
	}
	command.Flags().BoolVar(&strict, "strict", false, "exit with 1 also where there are warnings")
	return command
}

// examine takes what reading came back with apart.
func examine(c *conflist, err error) (validation, error) {
	v := validation{schema: schemaNow, Errors: []remark{}, Warnings: []remark{}}
	var mistakes *config.Error
	switch {
	case errors.As(err, &mistakes):
		for _, m := range mistakes.Mistakes {
			v.Errors = append(v.Errors, remark{Place: m.Place, Position: m.At, Problem: m.Problem})
		}
		v.MoreErrors = mistakes.More
	case err != nil:
		return v, err
	default:
		v.Valid = true
		v.Warnings = append(v.Warnings, c.warnings()...)
	}
	return v, nil
}

// warnings are about what is allowed, and hardly meant.
func (c *conflist) warnings() []remark {
	var warnings []remark
	for i := range c.Entries {
		entry := &c.Entries[i]
		place := "rules"
		if entry.Index > 0 {
			place = fmt.Sprintf("plugins[%d].rules", entry.Index)
		}
		if i > 0 {
			warnings = append(warnings, remark{
				Place: fmt.Sprintf("plugins[%d]", entry.Index), Position: entry.At,
				Problem: "a second xdp-port in one network takes the place of the first: put all rules into one",
			})
		}
		for _, m := range entry.Overwritten {
			warnings = append(warnings, remark{Place: m.Place, Position: m.At, Problem: m.Problem})
		}
		if len(entry.Rules) == 0 {
			warnings = append(warnings, remark{Place: place, Position: entry.At, Problem: "there are no rules: nothing will be attached"})
		}
		for _, u := range rules.FindUnreachable(entry.Rules) {
			warnings = append(warnings, remark{
				Place: fmt.Sprintf("%s[%d]", place, u.Rule), Position: entry.RuleAt[u.Rule], Problem: unreachable(entry.Rules, u),
			})
		}
	}
	return warnings
}

func unreachable(list []rules.Rule, u rules.Unreachable) string {
	if u.Behind < 0 {
		return fmt.Sprintf("rule %q can never match: the rules before it take all its packets between them", list[u.Rule].Name)
	}
	return fmt.Sprintf("rule %q can never match: rule %q before it takes all its packets",
		list[u.Rule].Name, list[u.Behind].Name)
}

func (t *tool) printValidation(c *conflist, v validation) error {
	if t.wantsJSON() {
		for _, remarks := range [][]remark{v.Errors, v.Warnings} {
			for i := range remarks {
				remarks[i].File, remarks[i].Position = c.inlined.Locate(remarks[i].Position)
			}
		}
		return t.printJSON(v)
	}
	print := func(kind string, colour terminal.Colour, remarks []remark) {
		for _, r := range remarks {
			m := config.Mistake{Place: r.Place, Problem: r.Problem, At: r.Position}
			fmt.Fprintf(t.out, "%s\n", c.describe(t.out.Paint(colour, kind), m))
		}
	}
	print("error", terminal.Red, v.Errors)
	if v.MoreErrors > 0 {
		fmt.Fprintf(t.out, "%s: and %d more\n", c.path, v.MoreErrors)
	}
	print("warning", terminal.Yellow, v.Warnings)
	if v.Valid {
		_, err := fmt.Fprintf(t.out, "%s: %s\n", c.path, c.summary())
		return err
	}
	return nil
}

// summary says what a valid configuration has.
func (c *conflist) summary() string {
	e := c.network()
	return fmt.Sprintf("valid: network %s, mode %s, tc hook %s, %d rules", c.Name, e.Mode, e.TCHook, len(e.Rules))
}
