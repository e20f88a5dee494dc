//go:build linux && (amd64 || arm64)

package crash

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/test/internal/ptrace"
	"github.com/xdp-port/xdp-port/test/node"
)

// halfway are calls to kill an ADD at that replaces rules. Each function serves one ADD.
func halfway() map[string]func(ptrace.Call) bool {
	updates := 0
	return map[string]func(ptrace.Call) bool{
		"back": func(c ptrace.Call) bool { // the last program is still the old one
			if c.Number == unix.SYS_BPF && commands[c.Args[0]] == "LINK_UPDATE" {
				updates++
			}
			return updates == 3
		},
		"on": func(c ptrace.Call) bool { // counters are not accumulated yet
			return c.Number == unix.SYS_MEMBARRIER && c.Args[0] != 0
		},
	}
}

// TestRecover kills an ADD that replaces rules. Then it kills the operation that
// recovers the replacement, or makes a call of it fail. The operation after that must
// recover it and count nothing twice.
func TestRecover(t *testing.T) {
	step := 24
	if os.Getenv("XDP_PORT_NIGHTLY") != "" {
		step = 1
	}
	die := func(ptrace.Call) ptrace.Verdict { return ptrace.Kill }
	for name, tt := range map[string]struct {
		where, hook string
		meet        func(ptrace.Call) ptrace.Verdict
	}{
		"back": {"back", "tcx", die}, "on/tcx": {"on", "tcx", die}, "on/clsact": {"on", "clsact", die},
		"back/fail": {"back", "tcx", fail},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, newStage(t))
			for i, more := 0, true; more; i += step {
				more = recoverAfter(t, w, tt.hook, halfway()[tt.where], i, tt.meet)
			}
		})
	}
}

// fail makes a call fail as if too many files were open, if the call can fail.
func fail(c ptrace.Call) ptrace.Verdict {
	if !canFail(c) {
		return ptrace.Proceed
	}
	return failing(c, unix.ENFILE)
}

// TestRecoverRenamed kills an ADD that replaces rules, and renames the device. The
// attachment does not depend on the name.
func TestRecoverRenamed(t *testing.T) {
	w := newWorld(t, newStage(t))
	from, to := second("tcx", "auto"), first("tcx", "auto")
	w.must(t, "ADD", from.config)
	if killed, refused := w.traced(t, "ADD", to.config, killAt(halfway()["back"])); !killed {
		t.Fatalf("ADD was not killed: %v", refused)
	}
	w.rename(t, w.c.HostSide, "renamed0")
	w.runForAnother(t)
	w.mustSee(t, from.sight)
	w.rename(t, "renamed0", w.c.HostSide)
	w.must(t, "CHECK", from.config)
	w.must(t, "DEL", from.config)
}

func (w *world) rename(t *testing.T, from, to string) {
	t.Helper()
	must(t, w.n.NS.Do(func(ns.NetNS) error {
		device, err := netlink.LinkByName(from)
		if err != nil {
			return err
		}
		return netlink.LinkSetName(device, to)
	}))
}

// TestDetached detaches one link of a container. ADD must attach it again, and other
// containers must get the same rules in any case.
func TestDetached(t *testing.T) {
	node.NeedTCX(t)
	for _, pin := range []string{"xdp", "tc_ingress", "tc_egress"} {
		t.Run(pin, func(t *testing.T) {
			st := newStage(t)
			w, neighbour := newWorld(t, st), newWorld(t, st)
			from, to := second("tcx", "auto"), first("tcx", "auto")
			w.must(t, "ADD", from.config)
			neighbour.must(t, "ADD", from.config)
			detach(t, w.attachment(t), pin)
			for _, w := range []*world{w, neighbour} {
				w.must(t, "ADD", to.config)
				w.mustSee(t, to.sight)
				w.must(t, "CHECK", to.config)
			}
			w.must(t, "DEL", to.config)
			neighbour.must(t, "DEL", to.config)
		})
	}
}

// TestDetachedMeanwhile detaches a link while ADD replaces rules.
func TestDetachedMeanwhile(t *testing.T) {
	node.NeedTCX(t)
	w := newWorld(t, newStage(t))
	from, to := second("tcx", "auto"), first("tcx", "auto")
	w.must(t, "ADD", from.config)
	attached, isAt := w.attachment(t), halfway()["back"]
	killed, _ := w.traced(t, "ADD", to.config, func(c ptrace.Call) ptrace.Verdict {
		if !isAt(c) {
			return ptrace.Proceed
		}
		detach(t, attached, "tc_egress")
		return ptrace.Kill
	})
	if !killed {
		t.Fatal("ADD was not killed")
	}
	w.runForAnother(t)
	w.mustSee(t, from.sight)
	w.must(t, "CHECK", from.config)
	w.must(t, "DEL", from.config)
}

// detach detaches one of an attachment's links.
func detach(t *testing.T, from state.Listed, pin string) {
	t.Helper()
	l, err := link.LoadPinnedLink(filepath.Join(string(from.Folder), pin), nil)
	must(t, err)
	defer l.Close()
	must(t, l.Detach())
}

// TestRecoverGone kills an ADD that replaces rules, and removes the container.
func TestRecoverGone(t *testing.T) {
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

// recoverAfter disturbs the operation that recovers a replacement at its n-th call, and
// reports whether it makes that many.
func recoverAfter(t *testing.T, w *world, hook string, reached func(ptrace.Call) bool, n int, meet func(ptrace.Call) ptrace.Verdict) bool {
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
	killed, refused := w.tracedCall(t, w.another(t), func(c ptrace.Call) ptrace.Verdict {
		if !isRelevant(c) {
			return ptrace.Proceed
		}
		calls++
		if calls-1 != n {
			return ptrace.Proceed
		}
		at = describe(c)
		return meet(c)
	})
	t.Logf("recovery is killed: %t, meets something at call %d: %s, answers: %v", killed, n, at, refused)
	w.mustSee(t, saw)
	w.runForAnother(t)
	w.mustSee(t, saw)
	inForce := from
	if saw == to.sight {
		inForce = to
	}
	w.must(t, "CHECK", inForce.config)
	// Each look sends two datagrams that either rules drop.
	const looks = 4
	if dropped := w.counters(t).Dropped; dropped != 2*looks {
		t.Errorf("%d packets were counted as dropped, should be %d", dropped, 2*looks)
	}
	w.must(t, "DEL", to.config)
	w.mustSee(t, untouched)
	w.mustBeClean(t)
	return at != "" && !t.Failed()
}

// counters are those of the container's attachment.
func (w *world) counters(t *testing.T) *datapath.Counters {
	t.Helper()
	a := w.attachment(t)
	counters, err := a.Folder.Counters(a.RulesetFolder)
	must(t, err)
	return counters
}

// attachment is the container's.
func (w *world) attachment(t *testing.T) state.Listed {
	t.Helper()
	reader, err := state.OpenForReading()
	must(t, err)
	defer reader.Close()
	listed, err := reader.List()
	must(t, err)
	for _, l := range listed {
		if l.Key.Container == w.c.PluginID() {
			return l
		}
	}
	t.Fatal("the container is not attached")
	return state.Listed{}
}
