package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/conflist"
	"github.com/xdp-port/xdp-port/pkg/terminal"
)

func (t *tool) validate() *cobra.Command {
	var strict bool
	command := &cobra.Command{
		Use:   "validate CONFLIST",
		Short: "Check a network's configuration, without touching anything",
		Long: `Check a network's configuration and print errors with line and column. An error is
anything in the entry that ADD would refuse, or another plugin in the network with
which ADD would fail. The first 20 errors are printed, and the number of the others.
Warn of rules that can never match, because rules before them match all their
packets. Nothing is changed, and no privileges are needed.

CONFLIST is a file, or - for stdin. Exits with 1 if there are errors. With --strict
it exits with 1 also if there are warnings.`,
		Example: `  xdp-portctl validate /etc/cni/net.d/10-lab.conflist
  jq .networks.lab networks.json | xdp-portctl validate --strict -`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeConflist,
		RunE: func(command *cobra.Command, args []string) error {
			c, err := t.read(command.Context(), args[0])
			v, err := conflist.Validate(c, err)
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
	command.Flags().BoolVar(&strict, "strict", false, "exit with 1 also if there are warnings")
	return command
}

// read reads a conflist from a file, or stdin for "-".
func (t *tool) read(ctx context.Context, path string) (*conflist.Conflist, error) {
	if path == "-" {
		return conflist.ReadStdin(ctx, t.in)
	}
	return conflist.Read(ctx, path)
}

// readValid is read for commands that need a valid conflist. It prints the errors in it.
func (t *tool) readValid(ctx context.Context, path string) (*conflist.Conflist, error) {
	c, err := t.read(ctx, path)
	var e *config.Error
	if errors.As(err, &e) {
		for _, line := range c.Lines("error", e) {
			fmt.Fprintln(t.err, line)
		}
		return nil, errFound
	}
	return c, err
}

// completeConflist completes names of files in the shell.
func completeConflist(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"conflist", "conf", "json"}, cobra.ShellCompDirectiveFilterFileExt
}

func (t *tool) printValidation(c *conflist.Conflist, v conflist.Validation) error {
	if t.wantsJSON() {
		v.Locate(c)
		return t.printJSON(struct {
			schema
			conflist.Validation
		}{schemaNow, v})
	}
	t.printRemarks(c, t.out.Paint(terminal.Red, "error"), v.Errors)
	if v.MoreErrors > 0 {
		fmt.Fprintf(t.out, "%s: and %d more\n", c.Path, v.MoreErrors)
	}
	t.printRemarks(c, t.out.Paint(terminal.Yellow, "warning"), v.Warnings)
	if v.Valid {
		e := c.Entry()
		_, err := fmt.Fprintf(t.out, "%s: valid: network %s, mode %s, tc hook %s, %d rules\n", c.Path, c.Name, e.Mode, e.TCHook, len(e.Rules))
		return err
	}
	return nil
}

func (t *tool) printRemarks(c *conflist.Conflist, kind string, remarks []conflist.Remark) {
	for _, r := range remarks {
		fmt.Fprintln(t.out, c.Describe(kind, config.Problem{Place: r.Place, Text: r.Problem, At: r.Position}))
	}
}
