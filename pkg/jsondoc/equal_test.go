package jsondoc

import "testing"

func TestEqual(t *testing.T) {
	const list = `{"name": "x", "plugins": [{"type": "ptp", "mtu": 1000}], "after": "é/"}`
	for other, want := range map[string]bool{
		list: true,
		"{\n  \"plugins\": [ { \"mtu\": 1e3, \"type\": \"ptp\" } ],\n  \"after\": \"\\u00e9\\/\", \"name\": \"x\" }\n": true,
		`{"name": "x", "plugins": [{"type": "ptp", "mtu": 1001}], "after": "é/"}`:                                      false,
		`{"name": "x", "plugins": [{"type": "ptp", "mtu": "1000"}], "after": "é/"}`:                                    false,
		`{"name": "x", "plugins": [{"type": "ptp", "mtu": 1000}]}`:                                                     false,
		list[:20]: false,
		"":        false,
	} {
		if got := Equal([]byte(list), []byte(other)); got != want {
			t.Errorf("%s: %v, want %v", other, got, want)
		}
		if got := Equal([]byte(other), []byte(list)); got != want {
			t.Errorf("%s, the other way round: %v, want %v", other, got, want)
		}
	}
	if !Equal([]byte(`{"x": 1e400}`), []byte(`{ "x": 1e400 }`)) {
		t.Error("a number that is too large for a float64 is not the same as itself")
	}
}
