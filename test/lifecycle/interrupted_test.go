package lifecycle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestInterrupted leaves a container without rules, as a killed change of its mode does,
// and changes the hardware address of its host side. The next ADD of another container
// must restore the rules, on whatever node it runs.
func TestInterrupted(t *testing.T) {
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "xdp"), nil, 0o600)) // a link's pin has this name
	t.Chdir(folder)
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		p, other := w.pod(t, "host0", 0), w.pod(t, "host1", 0)
		p.add(t, 1, m)
		p.readdress(t)
		p.interrupt(t)
		if l := p.listedAs(t); l == nil || l.Healthy || l.Gone {
			t.Errorf("list says %+v", l)
		}
		other.add(t, 2, m)
		p.mustBeRight(t)
		w.mustList(t, p, other)
		p.del(t)
		other.del(t)
		mustBeClean(t)
	})
}

// TestNotPutBack makes it impossible to find out whether the device of an interrupted
// container exists. gc must not report success.
func TestNotPutBack(t *testing.T) {
	w := newWorld(t)
	p := w.pod(t, "host0", 0)
	m := manners(t)[0]
	p.add(t, 1, m)
	makeEarlier(t, p)
	p.readdress(t)
	p.interrupt(t)
	for _, args := range [][]string{
		{"gc", "--dry-run"}, {"gc", "--dry-run", "-o", "json"}, {"gc"}, {"gc", "-o", "json"},
	} {
		stdout, stderr, code := w.tool(t, args...)
		said := string(stdout) + string(stderr)
		if code != 1 || !strings.Contains(strings.ToLower(said), "no rules") && !strings.Contains(said, "without rules") ||
			!strings.Contains(said, p.id) || strings.Contains(said, "nothing is left") {
			t.Errorf("%v exits with %d: %s", args, code, said)
		}
	}
	p.add(t, 1, m)
	p.mustBeRight(t)
	w.mustTool(t, "gc")
	p.del(t)
	p.mustBeRight(t)
	mustBeClean(t)
}

// interrupt makes the state that a process leaves if it is killed after it has detached
// a container to attach it in another mode.
func (p *pod) interrupt(t *testing.T) {
	t.Helper()
	attachment := folder(t, p)
	pending := filepath.Join(attachment, "../../../../claims/interrupted")
	must(t, os.MkdirAll(pending, 0o700))
	record := recordMap(t, p)
	defer record.Close()
	must(t, record.Unpin())
	must(t, record.Pin(filepath.Join(pending, "kept")))
	must(t, countersOf(t, p).Delete(uint32(p.index(t))))
	p.strip(t)
	must(t, os.RemoveAll(attachment))
	if saw := p.look(t); saw != sightOf(0) {
		t.Fatalf("the packets of %s arrive at %+v without rules", p.id, saw)
	}
	if _, err := os.Stat(node.StateFolder); err != nil {
		t.Fatal(err)
	}
}
