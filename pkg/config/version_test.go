package config

import "testing"

// TestForDel has versions before and after those that are spoken, and none.
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

// TestForGC leaves versions alone that have no GC.
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
