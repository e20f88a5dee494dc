package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/terminal"
)

func (t *tool) show() *cobra.Command {
	return &cobra.Command{
		Use:   "show CONTAINER",
		Short: "Show a container's rules and counters",
		Long: `Show the rules of a container in order, each with the packets and bytes that it
decided, and the counters of the container. All count since ADD. The container's
counters survive a change of the rules. A rule's counters survive it if a rule of
that name remains.

CONTAINER is an ID or the beginning of one. Exits with 1 if no attached container
has that ID, or if the container is not healthy.`,
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

// container reads the attachments of the container with this ID or beginning of one.
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
	fmt.Fprintln(t.out, t.wrap(fmt.Sprintf("%s of container %s in network %s", a.Interface, a.Container, a.Network)))
	fmt.Fprintln(t.out, t.wrap(fmt.Sprintf("host side %s, mode %s, attached %s ago, %s",
		terminal.OrDash(a.Device), mode(a), terminal.Age(a.AttachedAt), t.health(a))))
	fmt.Fprintf(t.out, "ruleset %s\n", shortID(a.Ruleset))
	for _, problem := range a.Problems {
		fmt.Fprintln(t.out, t.wrap(problem))
	}
	fmt.Fprintln(t.out)
	w := t.newTable(column("#", right), column("name", wraps), column("rule", wraps), column("packets", right), column("bytes", right))
	for _, rule := range a.Rules {
		w.Row(fmt.Sprint(rule.Index), rule.Name, rule.String(), fmt.Sprint(rule.Packets), fmt.Sprint(rule.Bytes))
	}
	if err := t.printTable(w); err != nil {
		return err
	}
	return t.printCounters(a.Counters)
}

// printCounters names the verdicts as trace does.
func (t *tool) printCounters(c *inspect.Counters) error {
	if c == nil {
		return nil
	}
	counts := c.ByVerdict()
	var parts []string
	for _, verdict := range inspect.Verdicts {
		parts = append(parts, fmt.Sprintf("%d %s", counts[verdict.String()], verdict))
	}
	text := fmt.Sprintf("%d packets: %s; %d ports moved, %d packets without a free port; %d flows evicted, %d of them live",
		c.Packets(), strings.Join(parts, ", "), c.PortsMoved, c.PortsExhausted, c.FlowsEvicted, c.FlowsEvictedLive)
	_, err := fmt.Fprintf(t.out, "\n%s\n", t.wrap(text))
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
