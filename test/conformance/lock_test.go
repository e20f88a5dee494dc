//go:build linux && (amd64 || arm64)

package conformance

import (
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/test/internal/ptrace"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// whileLoading runs f once while the plugin is loading a program, which then waits.
func whileLoading(t *testing.T, f func()) (run func(*exec.Cmd) error) {
	var once sync.Once
	loads := false
	t.Cleanup(func() {
		if !loads {
			t.Error("nothing was loaded")
		}
	})
	return func(plugin *exec.Cmd) error {
		return ptrace.Run(plugin, pace.Patience(time.Minute), func(c ptrace.Call) ptrace.Verdict {
			if c.Loads(ebpf.XDP) {
				loads = true
				once.Do(f)
			}
			return ptrace.Proceed
		})
	}
}

// TestLoadingHoldsNobodyUp starts and stops containers of other networks while one loads
// its rules, which takes seconds for long lists of addresses. They would fail if loading
// held the lock.
func TestLoadingHoldsNobodyUp(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	slow, other := lay(t, n, c, "a", "eth0", 1), lay(t, n, c, "b", "eth1", 2)
	others := lab().with("name", "other", "flows", 2048)
	before := node.State()
	for _, first := range []bool{true, false} { // whether the shared maps exist already
		if !first {
			other.succeed(t, "ADD", others)
		}
		add := slow.call(t, "ADD", lab())
		add.Run = whileLoading(t, func() {
			if first {
				other.succeed(t, "ADD", others)
				other.wantRules(t)
			}
			other.succeed(t, "CHECK", others)
			other.succeed(t, "DEL", others)
			other.succeed(t, "ADD", others)
		})
		succeed(t, n, add)
		slow.wantRules(t)
		other.wantRules(t)
		slow.succeed(t, "CHECK", lab())
		slow.succeed(t, "DEL", lab())
		other.succeed(t, "DEL", others)
		must(t, before.Unchanged())
	}

	// Other rules for a running container.
	slow.succeed(t, "ADD", lab())
	changed := lab().with("rules", []any{rule("protocol", "udp", "port", 7999, "toPort", 7997)})
	change := slow.call(t, "ADD", changed)
	change.Run = whileLoading(t, func() {
		other.succeed(t, "ADD", others)
		other.succeed(t, "DEL", others)
		slow.wantRules(t)
	})
	succeed(t, n, change)
	slow.wantPort(t, "7997")
	slow.succeed(t, "DEL", changed)
	must(t, before.Unchanged())
}

// TestLoadingOnce runs ADD for two containers with the same rules at once. The second must
// wait for the first to load them.
func TestLoadingOnce(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	first, second := lay(t, n, c, "a", "eth0", 1), lay(t, n, c, "b", "eth1", 2)
	before := node.State()
	done := make(chan *node.Answer, 1)
	add := first.call(t, "ADD", lab())
	add.Run = whileLoading(t, func() {
		go func() {
			answer, err := n.Call(second.call(t, "ADD", lab()))
			if err != nil {
				t.Error(err)
			}
			done <- answer
		}()
	})
	succeed(t, n, add)
	if answer := <-done; answer == nil || answer.Refusal != nil {
		t.Fatalf("the second ADD: %+v", answer)
	}
	first.wantRules(t)
	second.wantRules(t)
	if one, two := first.ruleset(t), second.ruleset(t); one != two {
		t.Errorf("the rulesets are %s and %s", one, two)
	}
	first.succeed(t, "DEL", lab())
	second.succeed(t, "DEL", lab())
	must(t, before.Unchanged())
}

// TestDelWhileLoading runs DEL while an ADD loads. The ADD must not attach anything.
func TestDelWhileLoading(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	before := node.State()
	add := l.call(t, "ADD", lab())
	add.Run = whileLoading(t, func() {
		fail(t, n, l.call(t, "ADD", lab()), 11, "is attaching the same interface")
		l.succeed(t, "DEL", lab())
		l.succeed(t, "DEL", lab())
	})
	fail(t, n, add, 11, "cancelled by DEL")
	l.wantNoPrograms(t)
	must(t, before.Unchanged())
	// DEL ends a change of rules, too.
	l.succeed(t, "ADD", lab())
	change := l.call(t, "ADD", lab().with("flows", 2048))
	change.Run = whileLoading(t, func() { l.succeed(t, "DEL", lab()) })
	fail(t, n, change, 11, "cancelled by DEL")
	l.wantNoPrograms(t)
	must(t, before.Unchanged())
}
