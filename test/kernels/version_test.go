package main

import "testing"

func TestParseVersion(t *testing.T) {
	for name, want := range map[string]string{
		"6.1":           "bookworm linux-image-cloud-amd64",
		"6.12-rt":       "trixie linux-image-rt-amd64",
		"newest":        "sid linux-image-cloud-amd64",
		"6.12/arm64":    "trixie linux-image-cloud-arm64",
		"6.12-rt/arm64": "trixie linux-image-rt-arm64",
		"6.12/mips":     "",
		"5.15":          "",
		"rt":            "",
		"":              "",
	} {
		v, err := parseVersion(name)
		if got := v.suite + " " + v.metapackage(); err == nil && got != want {
			t.Errorf("%q is %s, should be %q", name, got, want)
		}
		if (err != nil) != (want == "") {
			t.Errorf("%q: %v", name, err)
		}
	}
}
