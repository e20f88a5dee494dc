package config

import (
	"net/netip"
	"slices"
	"testing"
)

func TestCIDRs(t *testing.T) {
	got := parse(t, network(`"rules": [{"protocol": "tcp", "action": "drop", "cidrs": [
		"0.0.0.0/0", "10.0.0.0/8", "10.0.0.1/32", "::/0", "fd00::/8", "fd00:0::a/128"]}]`)).Rules[0].Peers
	var want []netip.Prefix
	for _, s := range []string{"0.0.0.0/0", "10.0.0.0/8", "10.0.0.1/32", "::/0", "fd00::/8", "fd00::a/128"} {
		want = append(want, netip.MustParsePrefix(s))
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestCIDRProblems(t *testing.T) {
	const no = ` is not an address with a prefix length such as "10.0.0.0/8" or "fd00::a/128"`
	tests := []refused{
		{"no list", `"10.0.0.0/8"`, `rules[0].cidrs: "10.0.0.0/8" is not a list of prefixes such as ["10.0.0.0/8"]`},
		{"null", `null`, `rules[0].cidrs: null is not a list of prefixes such as ["10.0.0.0/8"]: leave the key out`},
		{"empty list", `[]`, `rules[0].cidrs: is empty: leave the key out to match every address`},
		{"number", `[10]`, `rules[0].cidrs[0]: 10` + no},
		{"null in the list", `[null]`, `rules[0].cidrs[0]: null` + no},
		{"word", `["any"]`, `rules[0].cidrs[0]: "any"` + no},
		{"spaces", `[" 10.0.0.0/8"]`, `rules[0].cidrs[0]: " 10.0.0.0/8"` + no},
		{"IPv4 address", `["10.0.0.1"]`, `rules[0].cidrs[0]: "10.0.0.1" has no prefix length: write "10.0.0.1/32"`},
		{"IPv6 address", `["fd00::a"]`, `rules[0].cidrs[0]: "fd00::a" has no prefix length: write "fd00::a/128"`},
		{"mapped address", `["::ffff:10.0.0.1"]`, `rules[0].cidrs[0]: "::ffff:10.0.0.1" has no prefix length: write "10.0.0.1/32"`},
		{"IPv4 prefix too long", `["10.0.0.0/33"]`, `rules[0].cidrs[0]: "10.0.0.0/33" has a bad prefix length (0 to 32)`},
		{"IPv6 prefix too long", `["fd00::/129"]`, `rules[0].cidrs[0]: "fd00::/129" has a bad prefix length (0 to 128)`},
		{"netmask", `["10.0.0.0/255.0.0.0"]`, `rules[0].cidrs[0]: "10.0.0.0/255.0.0.0" has a bad prefix length (0 to 32)`},
		{
			"host bits", `["10.0.0.5/24"]`,
			`rules[0].cidrs[0]: "10.0.0.5/24" has host bits set: write "10.0.0.0/24" for the network or "10.0.0.5/32" for the address`,
		},
		{
			"IPv6 host bits", `["fd00::a/64"]`,
			`rules[0].cidrs[0]: "fd00::a/64" has host bits set: write "fd00::/64" for the network or "fd00::a/128" for the address`,
		},
		{"mapped", `["::ffff:10.0.0.0/104"]`, `rules[0].cidrs[0]: "::ffff:10.0.0.0/104" is an IPv4 network written as IPv6: write "10.0.0.0/8"`},
		{
			"mapped with host bits", `["::ffff:10.0.0.5/120"]`,
			`rules[0].cidrs[0]: "::ffff:10.0.0.5/120" has host bits set: write "10.0.0.0/24" for the network or "10.0.0.5/32" for the address`,
		},
		{"zone", `["fe80::1%eth0"]`, `rules[0].cidrs[0]: "fe80::1%eth0" has a zone, and packets have none: leave out "%eth0"`},
		{"zone and length", `["fe80::1%eth0/128"]`, `rules[0].cidrs[0]: "fe80::1%eth0/128" has a zone, and packets have none: leave out "%eth0"`},
		{
			"twice", `["fd00::/64", "10.0.0.0/8", "fd00:0:0::/64"]`,
			`rules[0].cidrs[2]: "fd00:0:0::/64" is a duplicate of rules[0].cidrs[0]: leave it out`,
		},
	}
	for i := range tests {
		tests[i].stdin = `{"protocol": "tcp", "action": "drop", "cidrs": ` + tests[i].stdin + `}`
	}
	checkRefusals(t, inRules(tests))
}
