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

// scenario is an operation to kill and the state before it.
type scenario struct {
	name string
	// neighbour are the rules of another container. Its ruleset stays loaded.
	neighbour *rules
	// before are the rules that the container already has.
	before *rules
	// desired are the rules of ADD, or nil if the operation is DEL.
	desired *rules
	// points is the number of changing calls to kill the plugin at, unless the test
	// kills it at all of them. If it is 0, another test kills it.
	points int
}

// scenarios are the same on each kernel, except those for tcx or for one mode. The
// others use the hook and the other mode that the kernel has.
func scenarios(t *testing.T) []scenario {
	hook, otherMode := node.TCHook(t), node.OtherMode(t, node.AutoMode(t))
	r := func(of func(tcHook, mode string) rules, tcHook, mode string) *rules {
		made := of(tcHook, mode)
		return &made
	}
	tcx, clsact, either := r(first, "tcx", "auto"), r(first, "clsact", "auto"), r(first, hook, "auto")
	return []scenario{
		{name: "ADD/first/tcx", desired: tcx, points: 60},
		{name: "ADD/first/clsact", desired: clsact, points: 30},
		{name: "ADD/later/tcx", neighbour: tcx, desired: tcx, points: 40},
		{name: "ADD/later/clsact", neighbour: clsact, desired: clsact, points: 40},
		{name: "ADD/replace/tcx", before: r(second, "tcx", "auto"), desired: tcx, points: 30},
		{name: "ADD/replace/clsact", before: r(second, "clsact", "auto"), desired: clsact, points: 20},
		{name: "ADD/replace/native", before: r(second, hook, "native"), desired: r(first, hook, "native"), points: 15},
		{name: "ADD/replace/tc", before: r(second, hook, "tc"), desired: r(first, hook, "tc"), points: 15},
		{name: "ADD/replace/more", neighbour: either, before: r(onlyDrops, hook, "auto"), desired: either, points: 10},
		{name: "ADD/replace/less", before: either, desired: r(onlyDrops, hook, "auto"), points: 15},
		{name: "ADD/mode", before: either, desired: r(first, hook, otherMode)},
		{name: "ADD/hook", before: tcx, desired: clsact},
		{name: "DEL/last/tcx", before: tcx, points: 70},
		{name: "DEL/last/clsact", before: clsact, points: 50},
		{name: "DEL/not-last/tcx", neighbour: tcx, before: tcx, points: 50},
		{name: "DEL/not-last/clsact", neighbour: clsact, before: clsact, points: 50},
	}
}

func TestKill(t *testing.T) {
	for _, s := range scenarios(t) {
		if s.points > 0 { // TestReattach has the others
			t.Run(s.name, func(t *testing.T) { s.run(t) })
		}
	}
}

// need skips the scenario if the kernel lacks its hook or mode.
func (s *scenario) need(t *testing.T) {
	for _, r := range []*rules{s.neighbour, s.before, s.desired} {
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

// stop says to kill the plugin at its n-th call that changes something, or at its n-th
// other call.
type stop struct {
	changing bool
	n        int
}

// stops returns where to kill the plugin: at a sample of its calls, or in the nightly run
// at each call that changes something and a sample of the others, see changes.
func (s *scenario) stops(t *testing.T, w *world) (stops []stop) {
	calls := map[bool]int{}
	s.prepare(t, w)
	s.traced(t, w, func(c ptrace.Call) ptrace.Verdict {
		calls[changes(c)]++
		return ptrace.Proceed
	})
	s.finish(t, w, false)
	choice := map[bool]int{true: chosen(s.points), false: chosen(s.points / 6)}
	for _, changing := range []bool{true, false} {
		count := min(calls[changing], choice[changing])
		if changing && os.Getenv("XDP_PORT_NIGHTLY") != "" {
			count = calls[changing]
		}
		for i := range count {
			stops = append(stops, stop{changing, i * calls[changing] / count})
		}
	}
	return stops
}

// chosen is the number of points for this machine. A slow machine reduces it less than
// the counts of longer steps.
func chosen(points int) int { return min(points, pace.Share(4*points)) }

// kill runs the scenario once and kills the plugin at a system call.
func (s *scenario) kill(t *testing.T, w *world, at stop, again bool) bool {
	s.prepare(t, w)
	calls, where := 0, ""
	killed := s.traced(t, w, func(c ptrace.Call) ptrace.Verdict {
		if changes(c) != at.changing {
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
	if s.isReplacement() && at.n%3 == 0 {
		s.mustRecover(t, w)
	}
	s.finish(t, w, again)
	return killed
}

// isReplacement reports whether ADD replaces the rules of a running container.
func (s *scenario) isReplacement() bool { return s.before != nil && s.desired != nil }

// mustRecover runs the plugin for another container. Afterwards the rules in force must
// be attached as ADD would have attached them.
func (s *scenario) mustRecover(t *testing.T, w *world) {
	t.Helper()
	saw, err := w.look()
	must(t, err)
	w.runForAnother(t)
	w.mustSee(t, saw)
	for _, r := range []*rules{s.before, s.desired} {
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
	operation, config := "DEL", s.rules().config
	if s.desired != nil {
		operation = "ADD"
	}
	killed, refused := w.traced(t, operation, config, judge)
	if refused != nil {
		t.Fatalf("%s: code %d: %v", operation, refused.Code, refused)
	}
	return killed
}

// rules are the rules of the configuration.
func (s *scenario) rules() *rules {
	if s.desired != nil {
		return s.desired
	}
	return s.before
}

// allowed are the states that the container may be in after a kill.
func (s *scenario) allowed() []sight {
	allowed := []sight{}
	if s.before != nil {
		allowed = append(allowed, s.before.sight)
	}
	if s.desired != nil {
		allowed = append(allowed, s.desired.sight)
	}
	if s.before == nil || s.desired == nil {
		allowed = append(allowed, untouched)
	}
	return allowed
}

// finish runs DEL after a kill, and another ADD before it if again is set.
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
