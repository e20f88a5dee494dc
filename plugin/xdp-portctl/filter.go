package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/cli"
	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// filterOptions are the flags of trace that select packets.
type filterOptions struct {
	direction, protocol, address, rule string
	ports                              []uint
	verdicts                           []string
}

var directions = []string{"egress", "ingress"}

var traceProtocols = []string{"tcp", "udp", "icmp", "icmpv6"}

func verdictWords() []string {
	var words []string
	for _, verdict := range inspect.Verdicts {
		words = append(words, verdict.String())
	}
	return words
}

func (o *filterOptions) addFlags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVarP(&o.direction, "direction", "d", "", "egress (sent by the container) or ingress")
	flags.StringVar(&o.protocol, "protocol", "", "one of "+strings.Join(traceProtocols, ", "))
	flags.UintSliceVarP(&o.ports, "port", "p", nil, "a port of either end, before or after; of several, one must match")
	flags.StringVarP(&o.address, "address", "a", "", "an address of either end, or a prefix such as 10.0.0.0/8")
	flags.StringVarP(&o.rule, "rule", "r", "", "the name of the rule that decided")
	flags.StringSliceVar(&o.verdicts, "verdict", nil, "a verdict; of several, one must match")
	for flag, words := range map[string][]string{
		"direction": directions, "protocol": traceProtocols, "verdict": verdictWords(),
	} {
		_ = command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// filter returns an error for values that can never match.
func (o *filterOptions) filter() (f inspect.Filter, err error) {
	if err := o.checkWords(); err != nil {
		return f, err
	}
	for _, port := range o.ports {
		if port < 1 || port > 65535 {
			return f, fmt.Errorf("--port %d is not a port (1-65535)", port)
		}
		f.Ports = append(f.Ports, uint16(port))
	}
	f.Direction, f.Protocol, f.Rule, f.Verdicts = o.direction, o.protocol, o.rule, o.verdicts
	f.Address, err = o.prefix()
	return f, err
}

func (o *filterOptions) checkWords() error {
	for _, given := range []struct {
		flag  string
		words []string
		known []string
	}{
		{"direction", wordsOf(o.direction), directions},
		{"protocol", wordsOf(o.protocol), traceProtocols},
		{"verdict", o.verdicts, verdictWords()},
	} {
		for _, word := range given.words {
			if !slices.Contains(given.known, word) {
				return fmt.Errorf("--%s %s: there is %s", given.flag, cli.Quote(word), strings.Join(given.known, ", "))
			}
		}
	}
	return nil
}

func wordsOf(word string) []string {
	if word == "" {
		return nil
	}
	return []string{word}
}

// prefix returns the prefix that --address means; an invalid one if it is not set.
func (o *filterOptions) prefix() (netip.Prefix, error) {
	if o.address == "" {
		return netip.Prefix{}, nil
	}
	if prefix, err := netip.ParsePrefix(o.address); err == nil {
		return prefix, nil
	}
	address, err := netip.ParseAddr(o.address)
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("--address %s is neither an address nor a prefix such as 10.0.0.0/8", cli.Quote(o.address))
	}
	address = address.Unmap() // packets never have an IPv4 address in IPv6 form
	return netip.PrefixFrom(address, address.BitLen()), nil
}

// checkRule returns an error if none of the rules has the name.
func (o *filterOptions) checkRule(known []string) error {
	if o.rule == "" || slices.Contains(known, o.rule) {
		return nil
	}
	const most = 20
	names := known
	if len(known) > most {
		names = append(known[:most:most], fmt.Sprintf("and %d more", len(known)-most))
	}
	return fmt.Errorf("--rule %s: no rule of these containers has this name; there are %s", cli.Quote(o.rule), strings.Join(names, ", "))
}
