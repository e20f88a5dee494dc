package inspect

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/printable"
)

// Filter selects decisions. A field that is not set matches all.
type Filter struct {
	Direction string
	Protocol  string
	// Ports and Address are of either end, before or after. One of the ports must match.
	Ports   []uint16
	Address netip.Prefix
	// Rule is the name of the rule that decided.
	Rule string
	// Verdicts are alternatives.
	Verdicts []string
}

// Directions and Protocols are the words that decisions have for them.
var (
	Directions = []string{"egress", "ingress"}
	Protocols  = []string{"tcp", "udp", "icmp", "icmpv6"}
)

// Check returns an error for a word that no decision has. The error begins with the name of
// the field.
func (f *Filter) Check() error {
	for _, field := range []struct {
		name         string
		words, known []string
	}{
		{"direction", []string{f.Direction}, Directions},
		{"protocol", []string{f.Protocol}, Protocols},
		{"verdict", f.Verdicts, VerdictWords()},
	} {
		for _, word := range field.words {
			if !slices.Contains(field.known, word) && (word != "" || field.name == "verdict") {
				return fmt.Errorf("%s %s: write one of %s", field.name, quote(word), strings.Join(field.known, ", "))
			}
		}
	}
	return nil
}

// CheckRule returns an error if none of the rules has the name of the filter.
func (f *Filter) CheckRule(known []string) error {
	if f.Rule == "" || slices.Contains(known, f.Rule) {
		return nil
	}
	const most = 20
	names := known
	if len(known) > most {
		names = append(known[:most:most], fmt.Sprintf("and %d more", len(known)-most))
	}
	return fmt.Errorf("rule %s: no rule of these containers has this name; their rules are %s", quote(f.Rule), strings.Join(names, ", "))
}

// SetAddress sets Address from an address or a prefix. An empty text matches all.
func (f *Filter) SetAddress(text string) (err error) {
	if text == "" {
		f.Address = netip.Prefix{}
		return nil
	}
	if f.Address, err = netip.ParsePrefix(text); err == nil {
		return nil
	}
	address, err := netip.ParseAddr(text)
	if err != nil {
		return fmt.Errorf("address %s is neither an address nor a prefix such as 10.0.0.0/8", quote(text))
	}
	address = address.Unmap() // packets never have an IPv4 address in IPv6 form
	f.Address = netip.PrefixFrom(address, address.BitLen())
	return nil
}

func quote(text string) string {
	const most = 60
	return strconv.Quote(printable.Cut(text, most))
}

// Matches reports whether the decision matches all fields.
func (f *Filter) Matches(d *Decision) bool {
	return (f.Direction == "" || f.Direction == d.Direction) &&
		(f.Protocol == "" || f.Protocol == d.Protocol) &&
		(f.Rule == "" || f.Rule == d.Rule) &&
		(len(f.Verdicts) == 0 || slices.Contains(f.Verdicts, d.Verdict)) &&
		f.matchesEnds(d)
}

func (f *Filter) matchesEnds(d *Decision) bool {
	hasPort, hasAddress := len(f.Ports) == 0, !f.Address.IsValid()
	for _, end := range []End{d.Before.Source, d.Before.Destination, d.After.Source, d.After.Destination} {
		hasPort = hasPort || slices.Contains(f.Ports, end.Port())
		hasAddress = hasAddress || f.Address.Contains(end.Addr())
	}
	return hasPort && hasAddress
}
