//go:build linux && (amd64 || arm64)

package crash

import (
	"encoding/json"
	"errors"
	"os/exec"
	"testing"
	"time"

	"github.com/containernetworking/cni/pkg/types"

	"github.com/xdp-port/xdp-port/test/internal/ptrace"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// refusal is the error that the plugin answers.
type refusal = types.Error

// stage is a node whose far host can be heard, and can speak.
type stage struct {
	*node.Node
	far *mouths
}

func newStage(t testing.TB) *stage {
	t.Helper()
	n := newNode(t)
	return &stage{n, newMouths(t, n.Far)}
}

// world is a container whose traffic is looked at, and what there was before
// anything was done to it.
type world struct {
	*prober
	n     *node.Node
	c     *node.Container
	found node.Snapshot
}

func newWorld(t testing.TB, s *stage) *world {
	t.Helper()
	c, err := s.Routed()
	must(t, err)
	return &world{prober: newProber(t, s, c), n: s.Node, c: c, found: node.State()}
}

func (w *world) call(t testing.TB, verb string, config map[string]any) node.Call {
	t.Helper()
	stdin, err := json.Marshal(config)
	must(t, err)
	return node.Call{
		Verb: verb, ContainerID: w.c.PluginID(), NetNS: w.c.NS.Path(), IfName: w.c.IfName, Stdin: stdin,
	}
}

// run runs a verb, and returns the error that it answers, or nil.
func (w *world) run(t testing.TB, verb string, config map[string]any) *refusal {
	t.Helper()
	answer, err := w.n.Call(w.call(t, verb, config))
	must(t, err)
	return answer.Refusal
}

// must runs a verb, which has to succeed.
func (w *world) must(t testing.TB, verb string, config map[string]any) {
	t.Helper()
	if refused := w.run(t, verb, config); refused != nil {
		t.Fatalf("%s: code %d: %v", verb, refused.Code, refused)
	}
}

// traced runs a verb and asks judge about each of its system calls. It returns
// whether the plugin was killed, and the error that it answered if not.
func (w *world) traced(t testing.TB, verb string, config map[string]any, judge func(ptrace.Call) ptrace.Verdict) (killed bool, refused *refusal) {
	t.Helper()
	return w.tracedCall(t, w.call(t, verb, config), judge)
}

func (w *world) tracedCall(t testing.TB, call node.Call, judge func(ptrace.Call) ptrace.Verdict) (killed bool, refused *refusal) {
	t.Helper()
	call.Run = func(cmd *exec.Cmd) error {
		err := ptrace.Run(cmd, node.ToolTimeout, judge)
		if killed = ptrace.IsKilled(err); killed {
			return nil
		}
		return err
	}
	answer, err := w.n.Call(call)
	must(t, err)
	return killed, answer.Refusal
}

// another is a call for a container that there is not.
func (w *world) another(t testing.TB) node.Call {
	t.Helper()
	call := w.call(t, "DEL", config("tcx", "auto", []map[string]any{}))
	call.ContainerID += "-another"
	return call
}

// runForAnother runs the plugin for a container that there is not.
func (w *world) runForAnother(t testing.TB) {
	t.Helper()
	answer, err := w.n.Call(w.another(t))
	must(t, err)
	if answer.Refusal != nil {
		t.Fatal(answer.Refusal)
	}
}

// mustSee wants the traffic to be that of one of the sights.
func (w *world) mustSee(t testing.TB, allowed ...sight) {
	t.Helper()
	saw, err := w.look()
	must(t, err)
	for _, s := range allowed {
		if saw == s {
			return
		}
	}
	t.Fatalf("the traffic is\n%+v\nshould be one of\n%+v", saw, allowed)
}

// mustBeClean wants nothing to be left of the container's rules. The kernel
// takes tcx links off some time after they are gone from bpffs.
func (w *world) mustBeClean(t testing.TB) {
	t.Helper()
	must(t, w.found.Unchanged())
	for deadline := time.Now().Add(pace.Patience(5 * time.Second)); ; time.Sleep(2 * time.Millisecond) {
		err := w.n.Unattached(w.c.HostSide)
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(errors.Join(errors.New("DEL left something"), err))
		}
	}
}
