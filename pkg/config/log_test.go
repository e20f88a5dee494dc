package config

import "testing"

func TestLogTargetOfWhateverThereIs(t *testing.T) {
	for stdin, want := range map[string][2]string{
		`{"name": "lab", "log": "journald"}`:                   {"journald", "lab"},
		`{"name": "lab", "log": "/l", "rules": 5, "mode": []}`: {"/l", "lab"},
		`{"log": "/l"}`:                      {"/l", ""},
		`{"name": "lab", "log": "relative"}`: {"", "lab"},
		`{"name": "lab", "log": 5}`:          {"", "lab"},
		`{"name": "log", "rules": []}`:       {"", "log"},
		`{"name": "lab"}`:                    {"", ""},
		`{"log": "/l"`:                       {"", ""},
		``:                                   {"", ""},
	} {
		if target, network := LogTarget([]byte(stdin)); target != want[0] || network != want[1] {
			t.Errorf("%s: %q, %q", stdin, target, network)
		}
	}
}
