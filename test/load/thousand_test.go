package load

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestThousand attaches many containers at the same time. It prints the cost of the last
// one relative to the first, because times depend on the machine.
func TestThousand(t *testing.T) {
	for _, hook := range []string{"tcx", "clsact"} {
		t.Run(hook, func(t *testing.T) { testThousand(t, hook, size(100, 1000)) })
	}
}

// few is the number of containers that a large crowd is compared with, and rounds the
// number of repetitions.
const few, rounds = 10, 25

func testThousand(t *testing.T, hook string, many int) {
	n, containers := newNode(t, many+1)
	serve(t, n)
	one, others := containers[0], containers[1:]
	group := enterGroup(t)
	add := func(containers []*node.Container) {
		for _, c := range containers {
			must(t, run(c, "ADD", config(hook)))
		}
	}
	add(others[:few])
	atFew := medianADD(t, one, hook)
	before := group.usage()
	add(others[few:])
	t.Logf("kernel memory of a container (%s): %.1f KiB", hook, float64(group.usage()-before)/float64(many-few)/1024)
	atMany := medianADD(t, one, hook)
	t.Logf("median ADD with %d containers: %s, with %d: %s, %.2f times that",
		few, atFew, many, atMany, float64(atMany)/float64(atFew))
	loaded, err := ownObjects()
	must(t, err)
	t.Logf("%d containers: %s", many, loaded)
	if len(loaded.programs) != 3 {
		t.Errorf("one ruleset has 3 programs, loaded are %d", len(loaded.programs))
	}
	var errs []error
	for i := 0; i < many; i += many / 20 {
		errs = append(errs, exchange(others[i]))
	}
	must(t, errors.Join(errs...))
	for _, c := range others {
		must(t, run(c, "DEL", config(hook)))
	}
	must(t, node.Snapshot{}.Unchanged())
	mustGo(t)
}

// medianADD attaches and detaches a container several times.
func medianADD(t *testing.T, c *node.Container, hook string) time.Duration {
	t.Helper()
	times := make([]time.Duration, rounds)
	for i := range times {
		begin := time.Now()
		must(t, run(c, "ADD", config(hook)))
		times[i] = time.Since(begin)
		must(t, run(c, "DEL", config(hook)))
	}
	slices.Sort(times)
	return times[rounds/2]
}
