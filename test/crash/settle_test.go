//go:build linux && amd64

package crash

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/test/ptrace"
)

// halfway are calls at which an ADD that exchanges rules is killed; each is used
// for one ADD.
func halfway() map[string]func(ptrace.Call) bool {
	updates := 0
	return map[string]func(ptrace.Call) bool{
		"back": func(c ptrace.Call) bool { // the last program is still the old one
			if c.Number == unix.SYS_BPF && commands[c.Args[0]] == "LINK_UPDATE" {
				updates++
			}
			return updates == 3
		},
		"on": func(c ptrace.Call) bool { // counters are not carried yet
			return c.Number == unix.SYS_MEMBARRIER && c.Args[0] != 0
		},
	}
}

// TestSettle kills an ADD that exchanges rules, and then who comes to settle
// that: the one after settles it all the same, and nothing is counted twice.
func TestSettle(t *testing.T) {
	step := 24
	if os.Getenv("XDP_PORT_NIGHTLY") != "" {
		step = 1
	}
	for name, tt := range map[string]struct{ where, hook string }{
		"back": {"back", "tcx"}, "on/tcx": {"on", "tcx"}, "on/clsact": {"on", "clsact"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newStage(t))
			for i, more := 0, true; more; i += step {
				more = settleAfter(t, w, tt.hook, halfway()[tt.where], i)
			}
		})
	}
}

// TestSettleGone kills an ADD that exchanges rules, and the container dies.
func TestSettleGone(t *testing.T) {
	for _, where := range []string{"back", "on"} {
		t.Run(where, func(t *testing.T) {
			w := newWorld(t, newStage(t))
			from, to := second("tcx", "auto"), first("tcx", "auto")
			w.must(t, "ADD", from.config)
			if killed, refused := w.traced(t, "ADD", to.config, killAt(halfway()[where])); !killed {
				t.Fatalf("ADD was not killed: %v", refused)
			}
			must(t, w.c.RemoveInterface())
			w.runForAnother(t)
			w.must(t, "DEL", to.config)
			must(t, w.found.Unchanged())
		})
	}
}

func killAt(reached func(ptrace.Call) bool) func(ptrace.Call) ptrace.Verdict {
	return func(c ptrace.Call) ptrace.Verdict {
		if reached(c) {
			return ptrace.Kill
		}
		return ptrace.Proceed
	}
}

// settleAfter has the one who comes to settle killed at its n-th call, and tells
// whether it makes so many.
func settleAfter(t *testing.T, w *world, hook string, reached func(ptrace.Call) bool, n int) bool {
	t.Helper()
	from, to := second(hook, "auto"), first(hook, "auto")
	w.must(t, "ADD", from.config)
	w.mustSee(t, from.sight)
	if killed, refused := w.traced(t, "ADD", to.config, killAt(reached)); !killed {
		t.Fatalf("ADD was not killed: %v", refused)
	}
	saw, err := w.look()
	must(t, err)
	calls, at := 0, ""
	killed, refused := w.tracedCall(t, w.another(t), killAt(func(c ptrace.Call) bool {
		if isRelevant(c) {
			calls++
			at = describe(c)
		}
		return calls > n
	}))
	if refused != nil {
		t.Fatal(refused)
	}
	t.Logf("who settles is killed: %t, at call %d: %s", killed, n, at)
	w.mustSee(t, saw)
	w.runForAnother(t)
	w.mustSee(t, saw)
	inForce := from
	if saw == to.sight {
		inForce = to
	}
	w.must(t, "CHECK", inForce.config)
	// Each look has two datagrams that either rules drop.
	const looks = 4
	if dropped := w.counters(t).Dropped; dropped != 2*looks {
		t.Errorf("%d packets were counted as dropped, should be %d", dropped, 2*looks)
	}
	w.must(t, "DEL", to.config)
	w.mustSee(t, untouched)
	w.mustBeClean(t)
	return killed && !t.Failed()
}

// counters are those of the container's attachment.
func (w *world) counters(t *testing.T) *datapath.Counters {
	t.Helper()
	reader, err := state.OpenForReading()
	must(t, err)
	defer reader.Close()
	listed, err := reader.List()
	must(t, err)
	for _, l := range listed {
		if l.Key.Container == w.c.PluginID() {
			counters, err := datapath.ReadCounters(l.Folder, l.RulesetFolder)
			must(t, err)
			return counters
		}
	}
	t.Fatal("the container is not attached")
	return nil
}
