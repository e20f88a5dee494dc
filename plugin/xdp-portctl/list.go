package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

func (t *tool) list() *cobra.Command {
	var whole bool
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List what is attached, and whether it is healthy",
		Long: `List a row for each interface that has rules: the host side of its veth, the mode
obtained, the ruleset, the ids of its programs in the order XDP, tc ingress, tc
egress, how many rules it has, since when, and what is wrong with it.

Exits with 1 if anything is wrong.`,
		Example: `  xdp-portctl list
  xdp-portctl list -o json | jq -r '.attachments[] | select(.healthy | not) | .container'`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			list, err := inspect.Attachments()
			if err != nil {
				return err
			}
			return errors.Join(t.printList(list, whole), wantHealthy(list))
		},
	}
	command.Flags().BoolVar(&whole, "no-trunc", false, "print IDs whole")
	return command
}

func wantHealthy(list []inspect.Attachment) error {
	for _, a := range list {
		if !a.Healthy {
			return errFound
		}
	}
	return nil
}

func (t *tool) printList(list []inspect.Attachment, whole bool) error {
	if t.wantsJSON() {
		summaries := make([]inspect.Attachment, len(list))
		for i := range list {
			summaries[i] = list[i].Summary()
		}
		return t.printAttachments(summaries)
	}
	if len(list) == 0 {
		return t.printNothing()
	}
	id := shortID
	if whole {
		id = func(s string) string { return s }
	}
	w := t.newTable("network", "container", "interface", "host veth", "mode", "ruleset", "programs", "rules", "age", "health")
	w.SetColumnConfigs(rightAligned(8, 9))
	for i := range list {
		a := &list[i]
		w.AppendRow([]any{
			a.Network, id(a.Container), a.Interface, orDash(a.Device), mode(a), id(a.Ruleset), programs(a),
			a.RuleCount, age(a.AttachedAt), t.health(a),
		})
	}
	return t.printTable(w)
}

func (t *tool) printAttachments(list []inspect.Attachment) error {
	return t.printJSON(struct {
		schema
		Attachments []inspect.Attachment `json:"attachments"`
	}{schemaNow, list})
}

// printNothing says to people, and not to their pipes, that nothing is there.
func (t *tool) printNothing() error {
	_, err := fmt.Fprintln(t.err, "nothing is attached")
	return err
}

func mode(a *inspect.Attachment) string {
	if a.Mode == "" {
		return "-"
	}
	return a.Mode + "/" + a.TCHook
}

func programs(a *inspect.Attachment) string {
	var ids []string
	for _, hook := range inspect.Hooks {
		id := "-"
		for _, p := range a.Programs {
			if p.Hook == hook && p.ID != 0 {
				id = fmt.Sprint(p.ID)
			}
		}
		ids = append(ids, id)
	}
	return strings.Join(ids, ",")
}

func (t *tool) health(a *inspect.Attachment) string {
	if a.Healthy {
		return t.paint(text.FgGreen, "healthy")
	}
	return t.paint(text.FgRed, strings.Join(a.Problems, "; "))
}
