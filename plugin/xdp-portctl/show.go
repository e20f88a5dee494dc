package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

func (t *tool) show() *cobra.Command {
	return &cobra.Command{
		Use:   "show CONTAINER",
		Short: "Show a container's rules in order, with what each decided, and its counters",
		Long: `Show the rules of a container in order, each with the packets and bytes that it
decided, and the container's counters. All are since ADD: they go on where the
rules are changed, a rule's as long as there is one of its name.

CONTAINER is the ID or the beginning of it. Exits with 1 if there is no such
container, or something is wrong with it.`,
		Example: `  xdp-portctl show 3f4a
  xdp-portctl show 3f4a -o json | jq '.attachments[].rules[] | {name, packets}'`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeContainer,
		RunE: func(_ *cobra.Command, args []string) error {
			list, err := container(args[0])
			if err != nil {
				return err
			}
			return errors.Join(t.printShow(list), wantHealthy(list))
		},
	}
}

// container reads the attachments of the container that a user means.
func container(prefix string) ([]inspect.Attachment, error) {
	list, err := inspect.Attachments()
	if err != nil {
		return nil, err
	}
	return inspect.Container(list, prefix)
}

func (t *tool) printShow(list []inspect.Attachment) error {
	if t.wantsJSON() {
		return t.printAttachments(list)
	}
	for i := range list {
		if i > 0 {
			fmt.Fprintln(t.out)
		}
		if err := t.printAttachment(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t *tool) printAttachment(a *inspect.Attachment) error {
	fmt.Fprintf(t.out, "%s of container %s in network %s\n", a.Interface, a.Container, a.Network)
	fmt.Fprintf(t.out, "host side %s, mode %s, ruleset %s, attached %s ago, %s\n\n",
		orDash(a.Device), mode(a), shortID(a.Ruleset), age(a.AttachedAt), t.health(a))
	w := t.newTable("#", "name", "rule", "packets", "bytes")
	w.SetColumnConfigs(rightAligned(1, 4, 5))
	for _, rule := range a.Rules {
		w.AppendRow([]any{rule.Index, rule.Name, rule, rule.Packets, rule.Bytes})
	}
	if err := t.printTable(w); err != nil {
		return err
	}
	return printCounters(t.out, a.Counters)
}

func printCounters(out io.Writer, c *inspect.Counters) error {
	if c == nil {
		return nil
	}
	_, err := fmt.Fprintf(out, "\n%d packets: %d passed, %d rewritten, %d dropped, %d replies and %d ICMP errors restored, "+
		"%d malformed; %d flow conflicts\n", c.Packets(),
		c.Passed, c.Rewritten, c.Dropped, c.RepliesRestored, c.ICMPErrorsRestored, c.Malformed, c.FlowConflicts)
	return err
}

// completeContainer completes container IDs in the shell.
func completeContainer(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	list, err := inspect.Attachments()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var ids []string
	for _, a := range list {
		ids = append(ids, cobra.CompletionWithDesc(a.Container, a.Interface+" in "+a.Network))
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
