package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/terminal"
)

func (t *tool) list() *cobra.Command {
	var whole bool
	command := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List attachments and their health",
		Long: `List each interface that has rules: the host side of its veth, the mode obtained,
the number of rules, the age and the health. Problems follow below the table. -o
wide adds the tc hook, the ruleset, and the ids of the programs in the order XDP, tc
ingress, tc egress.

Exits with 1 if an attachment is not healthy.`,
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
	command.Flags().BoolVar(&whole, "no-trunc", false, "print whole IDs")
	return command
}

// wantHealthy returns errFound if an attachment is not healthy.
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
	w := t.newTable(column("network", cuts), column("container", 0), column("interface", 0), column("host veth", 0),
		column("mode", 0), column("tc hook", wide), column("ruleset", wide), column("programs", wide),
		column("rules", right), column("age", right), column("health", 0), column("problems", wide))
	for i := range list {
		a := &list[i]
		w.Row(a.Network, id(a.Container), a.Interface, terminal.OrDash(a.Device), terminal.OrDash(a.Mode), terminal.OrDash(a.TCHook),
			id(a.Ruleset), programs(a), fmt.Sprint(a.RuleCount), terminal.Age(a.AttachedAt), t.health(a), strings.Join(a.Problems, "; "))
	}
	if err := t.printTable(w); err != nil || w.IsWide() {
		return err
	}
	return t.printProblems(list)
}

// printProblems prints the problems below the table, where there is room.
func (t *tool) printProblems(list []inspect.Attachment) error {
	var b strings.Builder
	for i := range list {
		a := &list[i]
		for _, problem := range a.Problems {
			b.WriteString("\n" + t.wrap(fmt.Sprintf("%s %s in %s: %s", shortID(a.Container), a.Interface, a.Network, problem)))
		}
	}
	if count := countHelped(list); count > 0 {
		b.WriteString("\n" + t.wrap(fmt.Sprintf("The programs of %d interfaces fix up checksums with a helper, about 60 ns slower per packet: "+
			"this kernel does not let them read its packet buffer (see xdp-portctl doctor).", count)))
	}
	if b.Len() == 0 {
		return nil
	}
	_, err := fmt.Fprintln(t.out, b.String())
	return err
}

// countHelped counts the interfaces that fix up checksums with a helper.
func countHelped(list []inspect.Attachment) (count int) {
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

// printNothing prints to stderr that nothing is attached, so that pipes stay empty.
func (t *tool) printNothing() error {
	_, err := fmt.Fprintln(t.err, "nothing is attached")
	return err
}

// mode returns mode and tc hook as one word.
func mode(a *inspect.Attachment) string {
	if a.Mode == "" {
		return "-"
	}
	return a.Mode + "/" + a.TCHook
}

// programs lists the ids of the programs in the order of inspect.Hooks.
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
		return t.out.Paint(terminal.Green, "healthy")
	case a.Gone:
		return t.out.Paint(terminal.Red, "gone")
	default:
		return t.out.Paint(terminal.Red, "damaged")
	}
}
