package rules

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
)

func mustCompile(t testing.TB, rules []Rule) *Table {
	t.Helper()
	table, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// isTarget defines EntryIsTarget: a two-way rewrite may produce the port.
func isTarget(rules []Rule, dir Direction, proto Protocol, port uint16) bool {
	for i := range rules {
		r := &rules[i]
		if r.Direction == dir && r.Protocol == proto && r.Action == Rewrite && !r.OneWay && r.To.Contains(port) {
			return true
		}
	}
	return false
}

func compare(t *testing.T, rules []Rule, table *Table, dir Direction, proto Protocol, port uint16, peer netip.Addr) {
	t.Helper()
	rule, target := table.Lookup(dir, proto, port, peer)
	if want := Decide(rules, dir, proto, port, peer); rule != want {
		t.Fatalf("%v %v %d %v: rule %d, want %d of %+v", dir, proto, port, peer, rule, want, rules)
	}
	if want := isTarget(rules, dir, proto, port); target != want {
		t.Fatalf("%v %v %d: target %v, want %v of %+v", dir, proto, port, target, want, rules)
	}
}

func compareRandomly(t *testing.T, r *rand.Rand, rules []Rule, packets int) {
	t.Helper()
	table := mustCompile(t, rules)
	for range packets {
		dir, proto := pick(r, []Direction{Egress, Ingress}), pick(r, []Protocol{TCP, UDP})
		compare(t, rules, table, dir, proto, randomPort(r), randomAddress(r))
	}
}

func TestLookupDecides(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		compareRandomly(t, r, randomRules(r, r.IntN(12), r.IntN(101)), 200)
	}
}

func TestLookupDecidesManyRules(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for _, withPeers := range []int{0, 90, 99, 100} {
		compareRandomly(t, r, randomRules(r, 1024, withPeers), 5000)
	}
}

func TestLookupEveryPort(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	rules := randomRules(r, 60, 80)
	table := mustCompile(t, rules)
	for port := range ports {
		compare(t, rules, table, Egress, UDP, uint16(port), randomAddress(r))
	}
}

func FuzzLookup(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(seed, uint16(seed*3), uint8(seed*12), uint16(seed*31))
	}
	f.Fuzz(func(t *testing.T, seed uint64, count uint16, withPeers uint8, port uint16) {
		r := rand.New(rand.NewPCG(seed, 0))
		rules := randomRules(r, int(count%200), int(withPeers))
		table := mustCompile(t, rules)
		for _, dir := range []Direction{Egress, Ingress} {
			for _, proto := range []Protocol{TCP, UDP} {
				compare(t, rules, table, dir, proto, port, randomAddress(r))
			}
		}
		compareRandomly(t, r, rules, 50)
	})
}

func TestCompileIsDeterministic(t *testing.T) {
	for seed := range uint64(20) {
		make := func() []Rule { return randomRules(rand.New(rand.NewPCG(seed, 1)), 50, 60) }
		one, two := mustCompile(t, make()), mustCompile(t, make())
		if !reflect.DeepEqual(one, two) || one.Digest() != two.Digest() {
			t.Fatalf("seed %d: two tables of the same rules differ", seed)
		}
	}
}

func TestCompileNothing(t *testing.T) {
	table := mustCompile(t, nil)
	if len(table.Pages) != 1 || table.PortIndex != [Tables][PageSize]uint16{} {
		t.Errorf("no rules make %d pages, index %v; want the empty page only", len(table.Pages), table.PortIndex)
	}
	compare(t, nil, table, Ingress, UDP, 65535, netip.MustParseAddr("::1"))
}

func TestPageZeroIsEmpty(t *testing.T) {
	table := mustCompile(t, []Rule{{Ports: EveryPort, Protocol: TCP, Action: Drop}})
	if table.Pages[0] != [PageSize]uint16{} {
		t.Error("page 0 is not all zeros")
	}
	if len(table.Pages) != 2 {
		t.Errorf("%d pages, want the empty one and one that all 256 blocks share", len(table.Pages))
	}
}

func TestEqualCandidatesShareAClass(t *testing.T) {
	peers := prefixes("10.0.0.0/8", "fd00::/8")
	rules := []Rule{
		{Protocol: UDP, Ports: PortRange{1, 100}, Action: Drop, Peers: peers},
		{Protocol: UDP, Ports: PortRange{50, 50}, Action: Pass},
		{Protocol: UDP, Ports: PortRange{200, 200}, Action: Drop, Peers: peers},
	}
	table := mustCompile(t, rules)
	want := []Class{
		{IPv4Lengths: []uint8{8}, IPv6Lengths: []uint8{8}},
		{Otherwise: 2, IPv4Lengths: []uint8{8}, IPv6Lengths: []uint8{8}},
		{IPv4Lengths: []uint8{8}, IPv6Lengths: []uint8{8}},
	}
	if !reflect.DeepEqual(table.Classes, want) {
		t.Errorf("classes %+v, want %+v", table.Classes, want)
	}
}

func TestPrefixInsideAnEarlierRulesIsLeftOut(t *testing.T) {
	rules := []Rule{
		{Protocol: UDP, Ports: EveryPort, Action: Drop, Peers: prefixes("10.1.0.0/16")},
		{Protocol: UDP, Ports: EveryPort, Action: Pass, Peers: prefixes("10.0.0.0/8", "10.1.2.0/24")},
	}
	table := mustCompile(t, rules)
	want := []Prefix{
		{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Rule: 2},
		{Prefix: netip.MustParsePrefix("10.1.0.0/16"), Rule: 1},
	}
	if !reflect.DeepEqual(table.Prefixes, want) {
		t.Errorf("prefixes %+v, want %+v", table.Prefixes, want)
	}
	if lengths := table.Classes[0].IPv4Lengths; !reflect.DeepEqual(lengths, []uint8{16, 8}) {
		t.Errorf("lengths %v, want 16 and 8, longest first", lengths)
	}
}

func TestShadowedTargetIsMarked(t *testing.T) {
	rules := []Rule{
		{Protocol: TCP, Ports: EveryPort, Action: Pass},
		{Protocol: TCP, Ports: PortRange{80, 81}, Action: Rewrite, To: PortRange{8080, 8081}},
		{Protocol: TCP, Ports: PortRange{90, 90}, Action: Rewrite, To: PortRange{9090, 9090}, OneWay: true},
	}
	table := mustCompile(t, rules)
	for port, want := range map[uint16]bool{8079: false, 8080: true, 8081: true, 8082: false, 9090: false} {
		if _, target := table.Lookup(Egress, TCP, port, netip.IPv4Unspecified()); target != want {
			t.Errorf("port %d: target %v, want %v", port, target, want)
		}
	}
}

func hosts(n int) []netip.Prefix {
	out := make([]netip.Prefix, n)
	for i := range out {
		out[i] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	return out
}

func TestCompileRefusesTooMany(t *testing.T) {
	for _, tt := range []struct {
		name  string
		rules []Rule
		want  string
	}{
		{"rules", make([]Rule, MaxRules+1), "8192 rules, but a table holds at most 8191"},
		{"prefixes", nested(300, hosts(4000)), "more than 1048576 address prefixes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Compile(tt.rules); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

// nested makes n rules with ranges inside each other, so that they have about
// 2n sets of candidates.
func nested(n int, peers []netip.Prefix) []Rule {
	list := make([]Rule, n)
	for i := range list {
		list[i] = Rule{
			Name: fmt.Sprintf("rule-%d", i), Protocol: TCP, Action: Drop, Peers: peers,
			Ports: PortRange{uint16(i + 1), uint16(60000 - i)},
		}
	}
	return list
}

func BenchmarkCompile(b *testing.B) {
	single := make([]Rule, 1024)
	for i := range single {
		single[i] = Rule{Protocol: TCP, Ports: PortRange{uint16(i * 7), uint16(i * 7)}, To: PortRange{5, 5}}
	}
	r := rand.New(rand.NewPCG(7, 8))
	for _, bb := range []struct {
		name  string
		rules []Rule
	}{
		{"1", single[:1]},
		{"1024 ports", single},
		{"1024 random", randomRules(r, 1024, 50)},
		{"1024 random with cidrs", randomRules(r, 1024, 100)},
		{"1024 nested with one cidr each", nested(1024, hosts(1))},
		{"1024 nested with 500 cidrs each", nested(1024, hosts(500))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				mustCompile(b, bb.rules)
			}
		})
	}
}

func BenchmarkDigest(b *testing.B) {
	table := mustCompile(b, randomRules(rand.New(rand.NewPCG(7, 8)), 1024, 50))
	for b.Loop() {
		table.Digest()
	}
}
