package lifecycle

import (
	"bytes"
	"strings"
	"testing"
)

const newerVersion = "written by a newer version of xdp-port"

// TestNewerRecord gives the record of a container a newer schema version, as after a downgrade.
// CHECK, list and ADD must report that. ADD must change nothing, another container can be attached,
// and DEL must remove everything.
func TestNewerRecord(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		p, other := w.pod(t, "host0", 0), w.pod(t, "host1", 0)
		p.add(t, 1, m)
		p.mustBeRight(t)
		makeNewer(t, p)

		if code, message := p.check(t); code != 100 || !strings.Contains(message, newerVersion) {
			t.Errorf("CHECK: %d, %s", code, message)
		}
		if l := p.listedAs(t); l == nil || l.Gone || !strings.Contains(strings.Join(l.Problems, "; "), newerVersion) {
			t.Errorf("it is listed as %+v", l)
		}
		if code, message := p.operation(t, "ADD", entry(p.network, 2, m)); code != 100 || !strings.Contains(message, newerVersion) {
			t.Errorf("ADD: %d, %s", code, message)
		}
		p.mustBeRight(t)
		p.mustTool(t, "gc")
		p.mustBeRight(t)

		other.add(t, 1, m)
		other.mustBeRight(t)
		other.del(t)
		p.mustBeRight(t)
		p.del(t)
		p.mustBeRight(t)
		mustBeClean(t)
	})
}

// makeNewer changes the schema version of a container's record.
func makeNewer(t *testing.T, p *pod) {
	t.Helper()
	m := recordMap(t, p)
	defer m.Close()
	var text []byte
	must(t, m.Lookup(uint32(0), &text))
	newer := bytes.Replace(text, []byte(`"schemaVersion":2`), []byte(`"schemaVersion":3`), 1)
	if bytes.Equal(newer, text) {
		t.Fatalf("the record has no schema version: %s", text)
	}
	must(t, m.Put(uint32(0), newer))
}
