package e2e

import (
	"errors"
	"maps"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/test/node"
)

// loaded counts the programs and maps in the kernel by name.
func loaded(t *testing.T) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for id := ebpf.ProgramID(0); ; {
		next, err := ebpf.ProgramGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		must(t, err)
		id = next
		if program, err := ebpf.NewProgramFromID(id); err == nil {
			if info, err := program.Info(); err == nil {
				counts["program "+info.Name]++
			}
			program.Close()
		}
	}
	for id := ebpf.MapID(0); ; {
		next, err := ebpf.MapGetNextID(id)
		if errors.Is(err, os.ErrNotExist) {
			break
		}
		must(t, err)
		id = next
		if m, err := ebpf.NewMapFromID(id); err == nil {
			if info, err := m.Info(); err == nil {
				counts["map "+info.Name]++
			}
			m.Close()
		}
	}
	return counts
}

// settles waits until the kernel, which frees in the background, has loaded
// what is wanted.
func settles(t *testing.T, want map[string]int) {
	t.Helper()
	var got map[string]int
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if got = loaded(t); maps.Equal(got, want) {
			return
		}
	}
	t.Errorf("loaded are %v, should be %v", got, want)
}

// TestSharing attaches two containers with the same rules: the second must add
// nothing but its record, and the last to leave takes everything along.
func TestSharing(t *testing.T) {
	before := loaded(t)
	n := newNode(t)
	must(t, n.Conflist(network("bridge", "1.1.0", "auto", tutorial())))
	first := attach(t, n, "lab")
	between := loaded(t)
	second := attach(t, n, "lab")
	want := maps.Clone(between)
	want["map xdp_port_record"]++
	settles(t, want)
	for _, program := range []string{"from_container", "settle_checksum", "to_container"} {
		if got := want["program "+program] - before["program "+program]; got != 1 {
			t.Errorf("%d programs %s are loaded for two containers", got, program)
		}
	}
	must(t, first.Detach("lab"))
	settles(t, between)
	serve(t, n.Far, 7998)
	must(t, node.ExchangeUDP(second.NS, far("IPv4", 7999), node.Sizes(10, 0, 1000)))
	must(t, second.Detach("lab"))
	settles(t, before)
}
