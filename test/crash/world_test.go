//go:build linux && (amd64 || arm64)

package crash

import (
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

// stage is a node and sockets of its far host.
type stage struct {
	*node.Node
	far *mouths
}

func newStage(t testing.TB) *stage {
	t.Helper()
	n := node.ForTest(t)
	return &stage{n, newMouths(t, n.Far)}
}

// world is a container under observation, and the state before the test changed
// anything.
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

func (w *world) call(t testing.TB, operation string, config map[string]any) node.Call {
	t.Helper()
	call, err := w.c.PluginCall(operation, config)
	must(t, err)
	return call
}

// run runs an operation, and returns the plugin's error or nil.
func (w *world) run(t testing.TB, operation string, config map[string]any) *refusal {
	t.Helper()
	refused, err := w.c.Plugin(operation, config)
	must(t, err)
	return refused
}

// must runs an operation, which must succeed.
func (w *world) must(t testing.TB, operation string, config map[string]any) {
	t.Helper()
	if refused := w.run(t, operation, config); refused != nil {
		t.Fatalf("%s: code %d: %v", operation, refused.Code, refused)
	}
}

// traced runs an operation and asks judge about each of its system calls. It returns
// whether the plugin was killed, or else its error.
func (w *world) traced(t testing.TB, operation string, config map[string]any, judge func(ptrace.Call) ptrace.Verdict) (killed bool, refused *refusal) {
	t.Helper()
	return w.tracedCall(t, w.call(t, operation, config), judge)
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

// another is a call for a container that does not exist.
func (w *world) another(t testing.TB) node.Call {
	t.Helper()
	call := w.call(t, "DEL", config("tcx", "auto", []map[string]any{}))
	call.ContainerID += "-another"
	return call
}

// runForAnother runs the plugin for a container that does not exist.
func (w *world) runForAnother(t testing.TB) {
	t.Helper()
	answer, err := w.n.Call(w.another(t))
	must(t, err)
	if answer.Refusal != nil {
		t.Fatal(answer.Refusal)
	}
}

// mustSee expects the traffic to match one of the sights.
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

// mustBeClean expects no trace of the container's rules. The kernel detaches tcx links
// some time after their pins are gone.
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
