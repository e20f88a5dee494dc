//go:build linux && (amd64 || arm64)

package crash

import (
	"fmt"
	"os"
	"testing"

	"github.com/xdp-port/xdp-port/test/internal/ptrace"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// scenario is a verb that is killed, and what there is before.
type scenario struct {
	name string
	// neighbour are the rules of another container, whose ruleset stays loaded.
	neighbour *rules
	// before are the rules that the container has already.
	before *rules
	// wanted are the rules of ADD; nil where the verb is DEL.
	wanted *rules
	// points is how many of the calls the plugin is killed at, out of those that
	// matter, unless it is to be all of them. 0: it is killed elsewhere.
	points int
}

// scenarios are the same on each kernel, but for what is about tcx or a mode
// alone; the others are by the hook, and by the other mode, that the kernel has.
func scenarios(t *testing.T) []scenario {
	hook, otherMode := node.TCHook(t), node.OtherMode(t, node.AutoMode(t))
	r := func(of func(tcHook, mode string) rules, tcHook, mode string) *rules {
		made := of(tcHook, mode)
		return &made
	}
	tcx, clsact, either := r(first, "tcx", "auto"), r(first, "clsact", "auto"), r(first, hook, "auto")
	return []scenario{
		{name: "ADD/first/tcx", wanted: tcx, points: 60},
		{name: "ADD/first/clsact", wanted: clsact, points: 30},
		{name: "ADD/later/tcx", neighbour: tcx, wanted: tcx, points: 40},
		{name: "ADD/later/clsact", neighbour: clsact, wanted: clsact, points: 40},
		{name: "ADD/replace/tcx", before: r(second, "tcx", "auto"), wanted: tcx, points: 30},
		{name: "ADD/replace/clsact", before: r(second, "clsact", "auto"), wanted: clsact, points: 20},
		{name: "ADD/replace/native", before: r(second, hook, "native"), wanted: r(first, hook, "native"), points: 15},
		{name: "ADD/replace/tc", before: r(second, hook, "tc"), wanted: r(first, hook, "tc"), points: 15},
		{name: "ADD/replace/more", neighbour: either, before: r(onlyDrops, hook, "auto"), wanted: either, points: 10},
		{name: "ADD/replace/less", before: either, wanted: r(onlyDrops, hook, "auto"), points: 15},
		{name: "ADD/mode", before: either, wanted: r(first, hook, otherMode)},
		{name: "ADD/hook", before: tcx, wanted: clsact},
		{name: "DEL/last/tcx", before: tcx, points: 70},
		{name: "DEL/last/clsact", before: clsact, points: 50},
		{name: "DEL/not-last/tcx", neighbour: tcx, before: tcx, points: 50},
		{name: "DEL/not-last/clsact", neighbour: clsact, before: clsact, points: 50},
	}
}

func TestKill(t *testing.T) {
	for _, s := range scenarios(t) {
		if s.points > 0 { // the others are TestReattach's
			t.Run(s.name, func(t *testing.T) { s.run(t) })
		}
	}
}

// need skips the scenario where the kernel lacks the hook that it asks for.
func (s *scenario) need(t *testing.T) {
	for _, r := range []*rules{s.neighbour, s.before, s.wanted} {
		if r == nil {
			continue
		}
		if r.config["tcHook"] == "tcx" {
			node.NeedTCX(t)
		}
		node.NeedMode(t, r.config["mode"].(string))
	}
}

func (s *scenario) run(t *testing.T) {
	s.need(t)
	st := newStage(t)
	neighbour := newWorld(t, st)
	if s.neighbour != nil {
		neighbour.must(t, "ADD", s.neighbour.config)
	}
	w := newWorld(t, st)
	kills := 0
	for i, stop := range s.stops(t, w) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if s.kill(t, w, stop, i%2 == 0) {
				kills++
			}
		})
		if t.Failed() {
			return
		}
	}
	t.Logf("the plugin was killed at %d system calls", kills)
	if s.neighbour != nil {
		neighbour.mustSee(t, s.neighbour.sight)
	}
}

// stop tells whether to kill the plugin at its n-th call. It counts the calls
// that matter apart from the others.
type stop struct {
	relevant bool
	n        int
}

// stops returns where to kill the plugin: everywhere, or at a choice of the
// calls that matter and a few of the others.
func (s *scenario) stops(t *testing.T, w *world) (stops []stop) {
	calls := map[bool]int{}
	s.prepare(t, w)
	s.traced(t, w, func(c ptrace.Call) ptrace.Verdict {
		calls[isRelevant(c)]++
		return ptrace.Proceed
	})
	s.finish(t, w, false)
	choice := map[bool]int{true: chosen(s.points), false: chosen(s.points / 6)}
	for _, relevant := range []bool{true, false} {
		count := calls[relevant]
		if os.Getenv("XDP_PORT_NIGHTLY") == "" {
			count = min(count, choice[relevant])
		}
		for i := range count {
			stops = append(stops, stop{relevant, i * calls[relevant] / count})
		}
	}
	return stops
}

// chosen is how many points it is to be on this machine. A slow one spares fewer
// of them than of what takes longer.
func chosen(points int) int { return min(points, pace.Share(4*points)) }

// kill runs the scenario once, with the plugin killed at a system call.
func (s *scenario) kill(t *testing.T, w *world, at stop, again bool) bool {
	s.prepare(t, w)
	calls, where := 0, ""
	killed := s.traced(t, w, func(c ptrace.Call) ptrace.Verdict {
		if isRelevant(c) != at.relevant {
			return ptrace.Proceed
		}
		calls++
		if calls <= at.n {
			return ptrace.Proceed
		}
		where = describe(c)
		return ptrace.Kill
	})
	t.Logf("killed: %t, at call %d: %s", killed, at.n, where)
	w.mustSee(t, s.allowed()...)
	if s.exchanges() && at.n%3 == 0 {
		s.mustSettle(t, w)
	}
	s.finish(t, w, again)
	return killed
}

// exchanges tells whether ADD exchanges programs.
func (s *scenario) exchanges() bool { return s.before != nil && s.wanted != nil }

// mustSettle runs the plugin for another container: after that the rules that are
// in force are there as ADD would have left them.
func (s *scenario) mustSettle(t *testing.T, w *world) {
	t.Helper()
	saw, err := w.look()
	must(t, err)
	w.runForAnother(t)
	w.mustSee(t, saw)
	for _, r := range []*rules{s.before, s.wanted} {
		if saw == r.sight && w.run(t, "CHECK", r.config) == nil {
			return
		}
	}
	t.Errorf("the traffic is %+v, but CHECK finds neither the old rules nor the new ones", saw)
}

func (s *scenario) prepare(t *testing.T, w *world) {
	if s.before != nil {
		w.must(t, "ADD", s.before.config)
		w.mustSee(t, s.before.sight)
	}
}

func (s *scenario) traced(t *testing.T, w *world, judge func(ptrace.Call) ptrace.Verdict) (killed bool) {
	verb, config := "DEL", s.rules().config
	if s.wanted != nil {
		verb = "ADD"
	}
	killed, refused := w.traced(t, verb, config, judge)
	if refused != nil {
		t.Fatalf("%s: code %d: %v", verb, refused.Code, refused)
	}
	return killed
}

// rules are those that the configuration has.
func (s *scenario) rules() *rules {
	if s.wanted != nil {
		return s.wanted
	}
	return s.before
}

// allowed are the states that the container may be in after a kill.
func (s *scenario) allowed() []sight {
	allowed := []sight{}
	if s.before != nil {
		allowed = append(allowed, s.before.sight)
	}
	if s.wanted != nil {
		allowed = append(allowed, s.wanted.sight)
	}
	if s.before == nil || s.wanted == nil {
		allowed = append(allowed, untouched)
	}
	return allowed
}

// finish runs what comes after a kill: DEL, with another ADD before it or
// without.
func (s *scenario) finish(t *testing.T, w *world, again bool) {
	if again {
		w.must(t, "ADD", s.rules().config)
		w.mustSee(t, s.rules().sight)
		w.must(t, "CHECK", s.rules().config)
	}
	w.must(t, "DEL", s.rules().config)
	w.mustSee(t, untouched)
	w.mustBeClean(t)
}
