package config

import (
	"strings"
	"testing"
)

// TestForDel has versions before and after the supported ones, and none.
func TestForDel(t *testing.T) {
	const asNewest = `{"cniVersion":"1.1.0","name":"lab"}`
	for stdin, want := range map[string]string{
		`{"cniVersion": "1.1.0", "name": "lab"}`: `{"cniVersion": "1.1.0", "name": "lab"}`,
		`{"cniVersion": "0.3.0", "name": "lab"}`: `{"cniVersion": "0.3.0", "name": "lab"}`,
		`{"cniVersion": "0.2.0", "name": "lab"}`: asNewest,
		`{"cniVersion": "1.1.1", "name": "lab"}`: asNewest,
		`{"cniVersion": "2", "name": "lab"}`:     asNewest,
		`{"cniVersion": "", "name": "lab"}`:      asNewest,
		`{"cniVersion": "x", "name": "lab"}`:     asNewest,
		`{"cniVersion": null, "name": "lab"}`:    asNewest,
		`{"cniVersion": 2, "name": "lab"}`:       asNewest,
		`{"name": "lab"}`:                        asNewest,
		`["lab"]`:                                `["lab"]`,
		`null`:                                   `null`,
		`{"cniVersion": "0.2.0"`:                 `{"cniVersion": "0.2.0"`,
		``:                                       ``,
	} {
		if got := string(ForDel([]byte(stdin))); got != want {
			t.Errorf("%s: got %s, want %s", stdin, got, want)
		}
	}
}

// TestForGC also has versions without GC, which must stay.
func TestForGC(t *testing.T) {
	for stdin, want := range map[string]string{
		`{"cniVersion": "1.0.0", "name": "lab"}`:  `{"cniVersion": "1.0.0", "name": "lab"}`,
		`{"cniVersion": "1.1.0", "name": "lab"}`:  `{"cniVersion": "1.1.0", "name": "lab"}`,
		`{"cniVersion": "1.2.0", "name": "lab"}`:  `{"cniVersion":"1.1.0","name":"lab"}`,
		`{"cniVersion": "10.0.0", "name": "lab"}`: `{"cniVersion":"1.1.0","name":"lab"}`,
		`{"cniVersion": "x", "name": "lab"}`:      `{"cniVersion": "x", "name": "lab"}`,
		`{"name": "lab"}`:                         `{"name": "lab"}`,
	} {
		if got := string(ForGC([]byte(stdin))); got != want {
			t.Errorf("%s: got %s, want %s", stdin, got, want)
		}
	}
}

// TestRefusal has what the CNI library lets through to no operation.
func TestRefusal(t *testing.T) {
	long := strings.Repeat("9", 9000)
	const speaks = "write one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0"
	for _, test := range []struct {
		operation, stdin string
		code             uint
		msg              string
	}{
		{"ADD", `[]`, 6, "stdin: configuration: [] is not an object: write the keys and values in { }"},
		{"DEL", `null`, 6, "stdin: configuration: null is not an object: write the keys and values in { }"},
		{"GC", ``, 6, "stdin: line 1, column 1: the text is empty: JSON is expected"},
		{"STATUS", "\ufeff{}", 6, "stdin: line 1, column 1: starts with a byte order mark (U+FEFF): save it without"},
		{"ADD", `{"cniVersion": 5, "name": "lab"}`, 7, `cniVersion: 5 is not a string: write "1.1.0"`},
		{"ADD", `{"cniVersion": "1.1.0", "name": 5}`, 7, "name: 5 is not a string"},
		{"ADD", `{"cniVersion": "1.1.0", "name": ""}`, 7, `name: "" is not a network name (letters, digits, _ . and -, beginning with a letter or digit)`},
		{"DEL", `{"cniVersion": "1.1.0"}`, 7, "configuration: name is missing: give the network a name"},
		{"GC", `{"cniVersion": "garbage", "name": "lab"}`, 1, `cniVersion: xdp-port does not support version "garbage" of CNI: ` + speaks},
		{"STATUS", `{"cniVersion": "` + long + `", "name": "lab"}`, 1, `cniVersion: xdp-port does not support version "` + long[:64] + `…" of CNI: ` + speaks},
		{"CHECK", `{"name": "lab"}`, 1, `cniVersion is missing, which means version 0.1.0 of CNI: write "1.1.0"`},
		{"CHECK", `{"cniVersion": "0.3.1", "name": "lab"}`, 1, `cniVersion: version "0.3.1" of CNI has no CHECK: write 0.4.0 or later`},
		{"GC", `{"cniVersion": "1.0.0", "name": "lab"}`, 1, `cniVersion: version "1.0.0" of CNI has no GC: write 1.1.0 or later`},
	} {
		got := Refusal([]byte(test.stdin), test.operation)
		if got == nil || got.Code != test.code || got.Msg != test.msg {
			t.Errorf("%s %.80s:\n got %v\nwant %d %s", test.operation, test.stdin, got, test.code, test.msg)
		}
	}
	if got := Refusal([]byte(`{"cniVersion": "1.1.0", "name": "lab"}`), "GC"); got != nil {
		t.Errorf("it refuses a good one: %v", got)
	}
}
