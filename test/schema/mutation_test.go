package schema

import (
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// replacements replace every value in turn.
var replacements = []any{
	nil, true, false, 0, 1, 80, 1024, 70000, -1, 1.5, json.Number("80.0"), json.Number("8e1"),
	"", "x", "80", "80-90", "90-80", "8001-8000", "7998-8000", ":::/64", "1.0.0", "bandwidth", "macvlan", "clsact",
	"tcp", "egress", "pass", "auto", "true", "10.0.0.0/8", "10.0.0.1/8", "fd00::/8", "::ffff:10.0.0.0/104",
	[]any{},
	map[string]any{},
	[]any{"10.0.0.0/8"},
	[]any{map[string]any{"protocol": "udp", "action": "drop"}},
}

// TestBothJudgeAlike changes every value of every good example in many ways. If only the
// parser refuses an example, its error must be listed in parser.json.
func TestBothJudgeAlike(t *testing.T) {
	schemas := compile(t)
	var alone []string
	for _, e := range examples(t, "parser.json") {
		alone = append(alone, e.Says)
	}
	good, refused := 0, 0
	for _, e := range examples(t, "good.json") {
		for mutant := range mutants(t, e) {
			invalid, mistaken := schemas.validate(&mutant), mutant.parse()
			switch {
			case invalid == nil && mistaken == nil:
				good++
			case invalid != nil && mistaken != nil:
				refused++
			case mistaken == nil:
				t.Errorf("the parser takes %s%s%s, the schema says: %v", mutant.List, mutant.Entry, mutant.Container, invalid)
			default:
				wantOnly(t, mistaken, alone, mutant)
			}
		}
	}
	t.Logf("both take %d and refuse %d", good, refused)
	if good < 500 || refused < 500 {
		t.Error("the examples tried say little")
	}
}

// wantOnly expects only errors of the known kinds.
func wantOnly(t *testing.T, err error, known []string, mutant example) {
	t.Helper()
	var invalid *config.Error
	if !errors.As(err, &invalid) {
		t.Fatal(err)
	}
	for _, m := range invalid.Problems {
		if !slices.ContainsFunc(known, func(says string) bool { return strings.Contains(m.Text, says) }) {
			t.Errorf("the schema takes %s%s%s, the parser says: %v", mutant.List, mutant.Entry, mutant.Container, m)
		}
	}
}

// mutants yields examples that differ from e in one place.
func mutants(t *testing.T, e example) iter.Seq[example] {
	t.Helper()
	text := e.Container
	for _, file := range []json.RawMessage{e.Entry, e.List} {
		if file != nil {
			text = file
		}
	}
	var root any
	must(t, json.Unmarshal(text, &root))
	return func(yield func(example) bool) {
		changeWithin(root, func() {
			mutant, err := json.Marshal(root)
			must(t, err)
			switch {
			case e.List != nil:
				yield(example{List: mutant})
			case e.Entry != nil:
				yield(example{Entry: mutant})
			default:
				yield(example{Container: mutant})
			}
		})
	}
}

// changeWithin changes what an object or list contains, one thing at a time. It reports
// each change and then undoes it.
func changeWithin(v any, changed func()) {
	switch v := v.(type) {
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			inner := v[key]
			change(inner, func(x any) { v[key] = x }, changed)
			delete(v, key)
			changed()
			v[key] = inner
		}
		v["colour"] = 1
		changed()
		delete(v, "colour")
	case []any:
		for i, inner := range v {
			change(inner, func(x any) { v[i] = x }, changed)
		}
	}
}

// change replaces a value by every replacement, and changes what it contains.
func change(v any, set func(any), changed func()) {
	for _, replacement := range replacements {
		set(replacement)
		changed()
	}
	set(v)
	changeWithin(v, changed)
}
