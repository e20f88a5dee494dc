//go:build linux && (amd64 || arm64)

package crash

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/internal/ptrace"
	"github.com/xdp-port/xdp-port/test/node"
)

// TestMeeting runs operations for an interface while an ADD is attaching it and has
// released the lock. No runtime should do so, but a restarted one has forgotten its ADD.
func TestMeeting(t *testing.T) {
	r := first("tcx", "auto")
	w := newWorld(t, newStage(t))
	meet := func(t *testing.T, other func()) *refusal {
		met := false
		_, refused := w.traced(t, "ADD", r.config, func(c ptrace.Call) ptrace.Verdict {
			if !met && c.Number == unix.SYS_BPF && commands[c.Args[0]] == "LINK_CREATE" {
				met = true
				other()
			}
			return ptrace.Proceed
		})
		if !met {
			t.Fatal("ADD attached nothing")
		}
		return refused
	}
	t.Run("DEL", func(t *testing.T) {
		wantCode(t, meet(t, func() {
			w.must(t, "DEL", r.config)
			w.must(t, "DEL", r.config) // as runtimes do
		}), 11)
		w.mustSee(t, untouched)
		w.mustBeClean(t)
	})
	t.Run("ADD", func(t *testing.T) {
		if refused := meet(t, func() { wantCode(t, w.run(t, "ADD", r.config), 11) }); refused != nil {
			t.Fatal(refused)
		}
		w.mustSee(t, r.sight)
		w.must(t, "DEL", r.config)
		w.mustBeClean(t)
	})
}

func wantCode(t *testing.T, got *refusal, code uint) {
	t.Helper()
	if got == nil || got.Code != code {
		t.Errorf("the answer is %v, should be an error with code %d", got, code)
	}
}

// TestMeetingOfGC runs DEL for all containers while GC is removing the first one. It
// is no error that an attachment has already gone.
func TestMeetingOfGC(t *testing.T) {
	r := first(node.TCHook(t), "auto")
	st := newStage(t)
	worlds := []*world{newWorld(t, st), newWorld(t, st)}
	for _, w := range worlds {
		w.must(t, "ADD", r.config)
	}
	config := map[string]any{"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port", "cni.dev/valid-attachments": []any{}}
	met := false
	_, refused := worlds[0].traced(t, "GC", config, func(c ptrace.Call) ptrace.Verdict {
		if !met && c.Number == unix.SYS_BPF && commands[c.Args[0]] == "LINK_DETACH" {
			met = true
			for _, w := range worlds {
				w.must(t, "DEL", r.config)
			}
		}
		return ptrace.Proceed
	})
	if !met || refused != nil {
		t.Fatalf("GC met DEL: %t, and answers %v", met, refused)
	}
	for _, w := range worlds {
		w.mustSee(t, untouched)
		w.mustBeClean(t)
	}
}
