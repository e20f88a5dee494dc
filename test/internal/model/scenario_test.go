package model

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/packet"
)

// coverage is what a number of scenarios exercised.
type coverage struct {
	packets  int
	counters Counters
	reasons  map[rules.Direction]map[Reason]int
}

func run(t *testing.T, scenarios, packets int) coverage {
	t.Helper()
	h := coverage{reasons: map[rules.Direction]map[Reason]int{rules.Egress: {}, rules.Ingress: {}}}
	for seed := range scenarios {
		s := NewScenario(uint64(seed))
		m := New(s.Rules)
		for range packets {
			dir, frame := s.Next()
			if len(frame) < 14 {
				t.Fatalf("a frame of %d bytes, which no kernel takes", len(frame))
			}
			got, verdict := m.Process(dir, frame)
			if m.Reason == Rewritten || m.Reason == Moved {
				s.Moved(m.Source)
			}
			if s.chance(3) {
				m.Now += time.Minute
			}
			h.packets++
			h.reasons[dir][m.Reason]++
			check(t, frame, got, verdict)
		}
		h.add(&m.Counters)
	}
	return h
}

// check verifies what must hold for every packet.
func check(t *testing.T, frame, got []byte, verdict Verdict) {
	t.Helper()
	if verdict == Drop && !bytes.Equal(frame, got) {
		t.Fatalf("a dropped frame was changed:\n% x\n% x", frame, got)
	}
	if packet.Verify(frame) != nil {
		return
	}
	if err := packet.Verify(got); err != nil {
		t.Fatalf("a correct packet was corrupted: %v\n% x\n% x", err, frame, got)
	}
}

func (h *coverage) add(c *Counters) {
	sum, one := reflect.ValueOf(&h.counters).Elem(), reflect.ValueOf(c).Elem()
	for i := range sum.NumField() {
		if field := sum.Field(i); field.CanUint() {
			field.SetUint(field.Uint() + one.Field(i).Uint())
		}
	}
}

func (h *coverage) percent(n int) float64 {
	return 100 * float64(n) / float64(h.packets)
}

// Scenarios are only useful if they reach every case.
func TestScenariosReachEverything(t *testing.T) {
	h := run(t, 200, 250)
	counters := reflect.ValueOf(h.counters)
	for i := range counters.NumField() {
		if !counters.Field(i).CanUint() || counters.Type().Field(i).Name == "PortsExhausted" {
			continue // there are more ports than packets
		}
		name, share := counters.Type().Field(i).Name, h.percent(int(counters.Field(i).Uint()))
		t.Logf("%5.2f%% %s", share, name)
		if share < 1 {
			t.Errorf("%s is counted for %.2f%% of the packets, want 1%% at least", name, share)
		}
	}
	for dir, reasons := range h.reasons {
		for _, reason := range []Reason{
			NotOurs, Malformed, NoRule, PassRule, DropRule, Rewritten, RewrittenOneWay, Moved, Damaged, Reply, MovedReply,
			ErrorForward, ErrorReply, ErrorNoFlow, ErrorUnusable,
		} {
			share := h.percent(reasons[reason])
			t.Logf("%5.2f%% %v: %s", share, dir, reason)
			if share < 0.1 {
				t.Errorf("%v: %s: %.2f%% of the packets, want 0.1%% at least", dir, reason, share)
			}
		}
	}
}

func TestScenarioIsItsSeeds(t *testing.T) {
	for seed := range uint64(50) {
		one, two := NewScenario(seed), NewScenario(seed)
		if !reflect.DeepEqual(one.Rules, two.Rules) {
			t.Fatalf("seed %d: the rules differ", seed)
		}
		for n := range 200 {
			oneDir, oneFrame := one.Next()
			twoDir, twoFrame := two.Next()
			if oneDir != twoDir || !bytes.Equal(oneFrame, twoFrame) {
				t.Fatalf("seed %d: packet %d differs", seed, n)
			}
		}
	}
}

// A configuration must be able to express the rules of a scenario.
func TestScenarioRulesAreValid(t *testing.T) {
	for seed := range uint64(2000) {
		for _, r := range NewScenario(seed).Rules {
			if r.Ports.First > r.Ports.Last || r.To.First > r.To.Last {
				t.Fatalf("seed %d: a range goes backwards: %+v", seed, r)
			}
			if r.Action != rules.Rewrite {
				continue
			}
			if r.Ports.First == 0 || r.To.First == 0 {
				t.Fatalf("seed %d: port 0 is rewritten: %+v", seed, r)
			}
			if r.To.Len() != 1 && r.To.Len() != r.Ports.Len() {
				t.Fatalf("seed %d: ranges do not fit: %+v", seed, r)
			}
		}
	}
}

func TestScenarioRulesCompile(t *testing.T) {
	for seed := range uint64(200) {
		s := NewScenario(seed)
		table, err := rules.Compile(s.Rules)
		if err != nil {
			t.Fatal(err)
		}
		for _, port := range append(s.services, s.clients...) {
			for _, peer := range append(s.peers[0], s.peers[1]...) {
				got, _ := table.Lookup(rules.Egress, rules.UDP, port, peer)
				if want := rules.Decide(s.Rules, rules.Egress, rules.UDP, port, peer); got != want {
					t.Fatalf("seed %d: port %d, peer %v: rule %d, want %d", seed, port, peer, got, want)
				}
			}
		}
	}
}

func BenchmarkScenario(b *testing.B) {
	s := NewScenario(1)
	m := New(s.Rules)
	for b.Loop() {
		m.Process(s.Next())
	}
}
