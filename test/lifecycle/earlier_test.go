package lifecycle

import (
	"path/filepath"
	"regexp"
	"testing"

	"github.com/cilium/ebpf"
)

// TestReusedIndexEarlier is TestReusedIndex for attachments of an earlier build, where
// activation entries have no owner.
func TestReusedIndexEarlier(t *testing.T) {
	for name, remove := range map[string]func(*testing.T, *pod, *pod){
		"DEL": func(t *testing.T, a, _ *pod) { a.del(t) },
		"GC":  func(t *testing.T, _, b *pod) { b.collect(t, b) },
	} {
		t.Run(name, func(t *testing.T) {
			eachManner(t, func(t *testing.T, m manner) {
				if m.hook == "clsact" { // its filters have other names there
					m.hook = "auto"
				}
				a, b := twins(t, m)
				counters := countersOf(t, a)
				must(t, counters.Delete(uint32(b.index(t)))) // else ADD would remove the first attachment
				b.add(t, 1, m)
				makeEarlier(t, a)
				makeEarlier(t, b)
				forgetOwner(t, counters, b.index(t))
				remove(t, a, b)
				b.mustBeRight(t)
				b.mustList(t, b)
				b.del(t)
				b.mustBeRight(t)
				mustBeClean(t)
			})
		})
	}
}

func countersOf(t *testing.T, p *pod) *ebpf.Map {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(filepath.Join(ruleset(t, p), "counters"), nil)
	must(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

// makeEarlier removes the fields of a container's record that earlier builds lack.
func makeEarlier(t *testing.T, p *pod) {
	t.Helper()
	m := recordMap(t, p)
	defer m.Close()
	var text []byte
	must(t, m.Lookup(uint32(0), &text))
	text = regexp.MustCompile(`"id":\d+,|,"serial":\d+`).ReplaceAllFunc(text, func(found []byte) []byte {
		blank := make([]byte, len(found))
		for i := range blank {
			blank[i] = ' '
		}
		return blank
	})
	must(t, m.Put(uint32(0), text))
}

// forgetOwner clears the last words of an activation entry and its counters.
func forgetOwner(t *testing.T, counters *ebpf.Map, index int) {
	t.Helper()
	value := make([][]byte, ebpf.MustPossibleCPU())
	for i := range value {
		value[i] = make([]byte, counters.ValueSize())
	}
	must(t, counters.Put(uint32(index), value))
}
