package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/cli"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/simulate"
	"github.com/xdp-port/xdp-port/pkg/terminal"
	"github.com/xdp-port/xdp-port/pkg/trace"
)

func (t *tool) test() *cobra.Command {
	var texts []string
	var direction string
	var packets []simulate.Packet
	command := &cobra.Command{
		Use:   "test CONFLIST --packet PACKET",
		Short: "Say what a configuration would do to a packet, and by which rule",
		Long: `Say what a network's configuration would do to a packet, and by which rule. Nothing
is changed, and no privileges are needed.

PACKET is "PROTOCOL SOURCE > DESTINATION". If the container receives the packet,
write "ingress" before it or use --direction ingress. The packet counts as the first
of its connection: rules do not apply to replies of rewritten packets. --packet -
reads a packet from each line of stdin.`,
		Example: `  xdp-portctl test lab.conflist --packet 'udp 10.88.0.2:4000 > 1.1.1.1:53'
  xdp-portctl test lab.conflist --packet 'ingress tcp [fd00::9]:4000 > [fd00::2]:80'
  xdp-portctl test lab.conflist --packet - -o json < packets`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeConflist,
		PreRunE: func(_ *cobra.Command, args []string) (err error) {
			if args[0] == "-" && slices.Contains(texts, "-") {
				return errors.New("CONFLIST and --packet cannot both be -: stdin has only one of them")
			}
			packets, err = t.packets(texts, direction)
			return err
		},
		RunE: func(command *cobra.Command, args []string) error {
			c, err := t.readValid(command.Context(), args[0])
			if err != nil {
				return err
			}
			return t.printOutcomes(packets, c.Entry().Rules)
		},
	}
	command.Flags().StringArrayVarP(&texts, "packet", "p", nil, "a packet, or - for the lines of stdin; can be repeated")
	command.Flags().StringVarP(&direction, "direction", "d", "egress",
		"egress (sent by the container) or ingress, for packets that do not say it")
	_ = command.MarkFlagRequired("packet")
	_ = command.RegisterFlagCompletionFunc("direction",
		cobra.FixedCompletions(inspect.Directions, cobra.ShellCompDirectiveNoFileComp))
	return command
}

// packets parses the packets of the flags.
func (t *tool) packets(texts []string, direction string) ([]simulate.Packet, error) {
	otherwise, known := map[string]rules.Direction{"egress": rules.Egress, "ingress": rules.Ingress}[direction]
	if !known {
		return nil, fmt.Errorf("--direction %s: write egress or ingress", cli.Quote(direction))
	}
	var lines []string
	for _, text := range texts {
		if text != "-" {
			lines = append(lines, text)
			continue
		}
		more, err := readLines(t.in)
		if err != nil {
			return nil, err
		}
		lines = append(lines, more...)
	}
	packets := make([]simulate.Packet, len(lines))
	for i, line := range lines {
		var err error
		if packets[i], err = simulate.ParsePacket(line, otherwise); err != nil {
			return nil, err
		}
	}
	return packets, nil
}

func readLines(in io.Reader) ([]string, error) {
	var lines []string
	scanner := bufio.NewScanner(in)
	for scanner.Scan() {
		if line := strings.TrimSpace(scanner.Text()); line != "" {
			lines = append(lines, line)
		}
	}
	return lines, scanner.Err()
}

// tested is the outcome of one packet.
type tested struct {
	Packet    string       `json:"packet"`
	Direction string       `json:"direction"`
	Protocol  string       `json:"protocol"`
	Before    inspect.Ends `json:"before"`
	// After has the ends of the packet that is sent on; it is missing for a dropped one.
	After   inspect.Ends `json:"after,omitzero"`
	Verdict string       `json:"verdict"`
	// Rule is the name of the rule that decides, empty for none. Definition describes it.
	Rule       string        `json:"rule,omitempty"`
	Definition *inspect.Rule `json:"definition,omitempty"`
	// KeepsFlow reports that replies get the original port back.
	KeepsFlow bool `json:"keepsFlow"`

	goesOn string // After in words
}

func (t *tool) printOutcomes(packets []simulate.Packet, list []rules.Rule) error {
	outcomes := make([]tested, len(packets))
	for i, packet := range packets {
		outcomes[i] = outcomeOf(packet, list)
	}
	if t.wantsJSON() {
		return t.printJSON(struct {
			schema
			Results []tested `json:"results"`
		}{schemaNow, outcomes})
	}
	for _, o := range outcomes {
		fmt.Fprintf(t.out, "%s\n  %s\n  %s\n", o.Packet, t.verdict(o), o.because())
	}
	return nil
}

func outcomeOf(packet simulate.Packet, list []rules.Rule) tested {
	outcome := simulate.Run(packet, list)
	out := tested{
		Packet: packet.String(), Direction: packet.Direction.String(), Protocol: packet.Protocol.String(),
		Before: endsOf(packet), Verdict: inspect.VerdictOf(outcome.Action).String(), KeepsFlow: outcome.RestoresReplies,
	}
	if outcome.Rule >= 0 {
		rule := inspect.RuleOf(outcome.Rule, &list[outcome.Rule])
		out.Rule, out.Definition = rule.Name, &rule
	}
	if outcome.Action != rules.Drop {
		out.After, out.goesOn = endsOf(outcome.After), outcome.After.String()
	}
	return out
}

func endsOf(p simulate.Packet) inspect.Ends {
	return inspect.Ends{Source: inspect.End{AddrPort: p.Source}, Destination: inspect.End{AddrPort: p.Destination}}
}

func (t *tool) verdict(o tested) string {
	switch {
	case o.Verdict == trace.Dropped.String():
		return t.out.Paint(terminal.Red, "dropped")
	case o.Verdict == trace.Passed.String():
		return t.out.Paint(terminal.Green, "passed unchanged")
	case o.KeepsFlow:
		return t.out.Paint(terminal.Yellow, "rewritten: "+o.goesOn) + ", replies get their port back"
	}
	return t.out.Paint(terminal.Yellow, "rewritten: "+o.goesOn) + ", replies keep the new port"
}

func (o *tested) because() string {
	if o.Definition == nil {
		return "no rule matches"
	}
	return fmt.Sprintf("by rule %d, %q: %s", o.Definition.Index, o.Rule, o.Definition)
}
