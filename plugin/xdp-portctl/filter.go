package main

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// filter chooses decisions; what is not set matches all.
type filter struct {
	direction, protocol, address, rule string
	ports                              []uint
	verdicts                           []string

	prefix netip.Prefix // what address means
}

var traceProtocols = []string{"tcp", "udp", "icmp", "icmpv6"}

func verdictWords() []string {
	var words []string
	for _, verdict := range inspect.Verdicts {
		words = append(words, verdict.String())
	}
	return words
}

func (f *filter) flags(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVarP(&f.direction, "direction", "d", "", "egress or ingress, as the container sees it")
	flags.StringVar(&f.protocol, "protocol", "", strings.Join(traceProtocols, ", "))
	flags.UintSliceVarP(&f.ports, "port", "p", nil, "of either end, before or after; one of several")
	flags.StringVarP(&f.address, "address", "a", "", "of either end, or a prefix such as 10.0.0.0/8")
	flags.StringVarP(&f.rule, "rule", "r", "", "the name of the rule that decided")
	flags.StringSliceVar(&f.verdicts, "verdict", nil, "one of several")
	for flag, words := range map[string][]string{
		"direction": {"egress", "ingress"}, "protocol": traceProtocols, "verdict": verdictWords(),
	} {
		_ = command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// check returns an error for words that would match nothing, ever.
func (f *filter) check() error {
	for _, given := range []struct {
		flag  string
		words []string
		known []string
	}{
		{"direction", wordsOf(f.direction), []string{"egress", "ingress"}},
		{"protocol", wordsOf(f.protocol), traceProtocols},
		{"verdict", f.verdicts, verdictWords()},
	} {
		for _, word := range given.words {
			if !slices.Contains(given.known, word) {
				return fmt.Errorf("--%s %s: there is %s", given.flag, shorten(word), strings.Join(given.known, ", "))
			}
		}
	}
	for _, port := range f.ports {
		if port < 1 || port > 65535 {
			return fmt.Errorf("--port %d is not a port (1-65535)", port)
		}
	}
	return f.readAddress()
}

// checkRule returns an error if no rule has the name that is filtered by.
func (f *filter) checkRule(known []string) error {
	if f.rule == "" || slices.Contains(known, f.rule) {
		return nil
	}
	const most = 20
	names := known
	if len(known) > most {
		names = append(known[:most:most], fmt.Sprintf("and %d more", len(known)-most))
	}
	return fmt.Errorf("--rule %s: no rule of these containers has this name; there are %s", shorten(f.rule), strings.Join(names, ", "))
}

func wordsOf(word string) []string {
	if word == "" {
		return nil
	}
	return []string{word}
}

func (f *filter) readAddress() (err error) {
	if f.address == "" {
		return nil
	}
	if f.prefix, err = netip.ParsePrefix(f.address); err == nil {
		return nil
	}
	address, err := netip.ParseAddr(f.address)
	if err != nil {
		return fmt.Errorf("--address %s is neither an address nor a prefix such as 10.0.0.0/8", shorten(f.address))
	}
	address = address.Unmap() // no packet has an IPv4 address written as IPv6
	f.prefix = netip.PrefixFrom(address, address.BitLen())
	return nil
}

func (f *filter) matches(d *inspect.Decision) bool {
	return (f.direction == "" || f.direction == d.Direction) &&
		(f.protocol == "" || f.protocol == d.Protocol) &&
		(f.rule == "" || f.rule == d.Rule) &&
		(len(f.verdicts) == 0 || slices.Contains(f.verdicts, d.Verdict)) &&
		f.matchesEnds(d)
}

func (f *filter) matchesEnds(d *inspect.Decision) bool {
	hasPort, hasAddress := len(f.ports) == 0, f.address == ""
	for _, end := range []inspect.End{d.Before.Source, d.Before.Destination, d.After.Source, d.After.Destination} {
		hasPort = hasPort || slices.Contains(f.ports, uint(end.Port()))
		hasAddress = hasAddress || f.prefix.Contains(end.Addr())
	}
	return hasPort && hasAddress
}
