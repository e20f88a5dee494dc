package load

import (
	"errors"
	"sync"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestCrowd starts many containers at once while nothing is loaded, and stops them at
// once.
func TestCrowd(t *testing.T) {
	const crowd = 200
	n, containers := newNode(t, crowd)
	serve(t, n)
	for round := range 5 {
		hook := []string{"tcx", "clsact"}[round%2]
		must(t, atOnce(containers, func(c *node.Container) error { return run(c, "ADD", config(hook)) }))
		loaded, err := ownObjects()
		must(t, err)
		t.Logf("%d ADDs at once: %s", crowd, loaded)
		if len(loaded.programs) != 3 {
			t.Errorf("one ruleset has 3 programs, loaded are %d", len(loaded.programs))
		}
		must(t, atOnce([]*node.Container{containers[0], containers[crowd/2], containers[crowd-1]}, exchange))
		must(t, atOnce(containers, func(c *node.Container) error { return run(c, "DEL", config(hook)) }))
		must(t, node.Snapshot{}.Unchanged())
		mustGo(t)
		for _, c := range containers {
			must(t, n.Unattached(c.HostSide))
		}
	}
}

// atOnce calls a function for all containers at the same time.
func atOnce(containers []*node.Container, do func(*node.Container) error) error {
	errs := make([]error, len(containers))
	var all sync.WaitGroup
	for i, c := range containers {
		all.Go(func() { errs[i] = do(c) })
	}
	all.Wait()
	return errors.Join(errs...)
}
