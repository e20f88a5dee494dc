package rules

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
)

// TestUnreachableIsExact compares with Decide at every corner. The decision can
// change only at the first port or address of a range, or at the one after its
// last.
func TestUnreachableIsExact(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	lists, unreachable := 3000, 0
	for n := range lists {
		list := randomRules(r, 1+r.IntN(9), r.IntN(101))
		decided := decidedSomewhere(list)
		var want []int
		for i := range list {
			if !decided[i] {
				want = append(want, i)
			}
		}
		var got []int
		for _, u := range FindUnreachable(list) {
			got = append(got, u.Rule)
			wantCause(t, list, u)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("list %d: got %v, want %v of %+v", n, got, want, list)
		}
		unreachable += len(want)
	}
	t.Logf("%d of the rules of %d lists are unreachable", unreachable, lists)
	if unreachable < lists/10 {
		t.Error("too few unreachable rules to prove anything")
	}
}

// wantCause requires Behind to be the first rule that alone covers the rule.
func wantCause(t *testing.T, list []Rule, u Unreachable) {
	t.Helper()
	want := -1
	for i := u.Rule - 1; i >= 0; i-- {
		if !decidedSomewhere([]Rule{list[i], list[u.Rule]})[1] {
			want = i
		}
	}
	if u.Behind != want {
		t.Fatalf("rule %d is behind %d, want %d: %+v", u.Rule, u.Behind, want, list)
	}
}

func decidedSomewhere(list []Rule) map[int]bool {
	var cornerPorts []uint16
	addresses := []netip.Addr{netip.MustParseAddr("0.0.0.0"), netip.MustParseAddr("::")}
	for i := range list {
		cornerPorts = append(cornerPorts, list[i].Ports.First, list[i].Ports.Last+1)
		for _, peer := range list[i].Peers {
			addresses = append(addresses, peer.Addr())
			if next := lastOf(peer).Next(); next.IsValid() {
				addresses = append(addresses, next)
			}
		}
	}
	decided := map[int]bool{}
	for _, port := range cornerPorts {
		for _, address := range addresses {
			for _, dir := range []Direction{Egress, Ingress} {
				for _, proto := range []Protocol{TCP, UDP} {
					decided[Decide(list, dir, proto, port, address)] = true
				}
			}
		}
	}
	return decided
}

func lastOf(p netip.Prefix) netip.Addr {
	bytes := p.Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 0x80 >> (bit % 8)
	}
	last, _ := netip.AddrFromSlice(bytes)
	return last
}

// BenchmarkFindUnreachable has as many rules as a configuration may have, with long
// address lists.
func BenchmarkFindUnreachable(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	list := randomRules(r, 1024, 100)
	for i := range list {
		for range 16 {
			list[i].Peers = append(list[i].Peers, randomPeer(r))
		}
	}
	for b.Loop() {
		FindUnreachable(list)
	}
}
