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
obtained, how many rules it has, since when, and whether it is healthy. What is
wrong stands below the table. -o wide adds the tc hook, the ruleset, and the ids of
the programs in the order XDP, tc ingress, tc egress.

Exits with 1 if anything is wrong.`,
		Example: `  xdp-portctl list
  xdp-portctl list -o json | jq '.attachments[] | select(.healthy | not)'`,
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
	w := t.newTable(column{"network", cuts}, column{"container", 0}, column{"interface", 0}, column{"host veth", 0},
		column{"mode", 0}, column{"tc hook", wide}, column{"ruleset", wide}, column{"programs", wide},
		column{"rules", right}, column{"age", right}, column{"health", 0}, column{"problems", wide})
	for i := range list {
		a := &list[i]
		w.row(a.Network, id(a.Container), a.Interface, orDash(a.Device), orDash(a.Mode), orDash(a.TCHook),
			id(a.Ruleset), programs(a), fmt.Sprint(a.RuleCount), age(a.AttachedAt), t.health(a), strings.Join(a.Problems, "; "))
	}
	if err := t.printTable(w); err != nil || w.isWide {
		return err
	}
	return t.printProblems(list)
}

// printProblems has what is wrong below the table, where there is room.
func (t *tool) printProblems(list []inspect.Attachment) error {
	var b strings.Builder
	for i := range list {
		a := &list[i]
		for _, problem := range a.Problems {
			b.WriteString("\n" + t.wrapped(fmt.Sprintf("%s %s in %s: %s", shortID(a.Container), a.Interface, a.Network, problem)))
		}
	}
	if count := helped(list); count > 0 {
		b.WriteString("\n" + t.wrapped(fmt.Sprintf("Of %d interfaces checksums are fixed up by a helper, some 60 ns a packet slower: "+
			"this kernel does not let programs read its packet buffer (xdp-portctl doctor).", count)))
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := fmt.Fprintln(t.out, b.String())
	return err
}

// helped counts the interfaces whose programs call a helper for checksums.
func helped(list []inspect.Attachment) (count int) {
	for i := range list {
		if list[i].ChecksumHelper {
			count++
		}
	}
	return count
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
	switch {
	case a.Healthy:
		return t.paint(text.FgGreen, "healthy")
	case a.Gone:
		return t.paint(text.FgRed, "gone")
	default:
		return t.paint(text.FgRed, "damaged")
	}
}
