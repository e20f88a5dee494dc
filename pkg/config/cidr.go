package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// peers reads the peer addresses of a rule.
func (p *parser) peers(list *value) []netip.Prefix {
	elements := p.elements(list, `prefixes such as ["10.0.0.0/8"]`)
	if list.IsGood() && len(elements) == 0 {
		p.report(list, "is empty: leave the key out to match every address")
	}
	if len(elements) == 0 {
		return nil
	}
	var read []netip.Prefix
	first := map[netip.Prefix]*value{}
	for _, element := range elements {
		prefix, err := readPrefix(element)
		if err != nil {
			p.report(element, "%v", err)
			continue
		}
		if earlier := first[prefix]; earlier != nil {
			p.report(element, "%s is a duplicate of %s: leave it out", element, earlier.Place())
			continue
		}
		first[prefix] = element
		read = append(read, prefix)
	}
	return read
}

// readPrefix accepts only the canonical form of a prefix. Another form is probably a typo:
// with host bits, for example, a network may be meant to be an address.
func readPrefix(v *value) (netip.Prefix, error) {
	text, _ := v.Text()
	written, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, notAPrefix(v, text)
	}
	prefix := unmap(written)
	switch masked := prefix.Masked(); {
	case prefix != masked:
		return netip.Prefix{}, fmt.Errorf("%s has host bits set: write %q for the network or %q for the address",
			v, masked, single(prefix.Addr()))
	case prefix != written:
		return netip.Prefix{}, fmt.Errorf("%s is an IPv4 network written as IPv6: write %q", v, prefix)
	}
	return prefix, nil
}

func notAPrefix(v *value, text string) error {
	address, _, hasLength := strings.Cut(text, "/")
	addr, err := netip.ParseAddr(address)
	switch {
	case err != nil:
		return fmt.Errorf(`%s is not an address with a prefix length such as "10.0.0.0/8" or "fd00::a/128"`, v)
	case addr.Zone() != "":
		return fmt.Errorf("%s has a zone, and packets have none: leave out %s", v, jsondoc.Quote("%"+addr.Zone()))
	case !hasLength:
		return fmt.Errorf("%s has no prefix length: write %q", v, single(addr.Unmap()))
	}
	return fmt.Errorf("%s has a bad prefix length (0 to %d)", v, addr.BitLen())
}

// single returns the prefix that contains only addr.
func single(addr netip.Addr) netip.Prefix {
	return netip.PrefixFrom(addr, addr.BitLen())
}

// unmap turns a prefix of IPv4-mapped IPv6 addresses into the IPv4 prefix. No packet has
// mapped addresses.
func unmap(prefix netip.Prefix) netip.Prefix {
	const mappedBits = 96
	if prefix.Addr().Is4In6() && prefix.Bits() >= mappedBits {
		return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mappedBits)
	}
	return prefix
}
