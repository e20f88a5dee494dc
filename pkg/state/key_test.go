package state

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestNamesAreReversible(t *testing.T) {
	for name, want := range map[string]string{
		"eth0":             "eth0",
		"a.b":              "a%2Eb",
		"..":               "%2E%2E",
		"a/b":              "a%2Fb",
		"100%":             "100%25",
		"%2E":              "%252E",
		"Net_1-x":          "Net_1-x",
		"\xff\x01 ":        "%FF%01%20",
		"a+b c":            "a%2Bb%20c",
		"_._-9":            "_%2E_-9",
		"cnitool-c81e7bf5": "cnitool-c81e7bf5",
	} {
		got := encodeName(name)
		if got != want {
			t.Errorf("%q is encoded as %q, should be %q", name, got, want)
		}
		if back, err := decodeName(got); err != nil || back != name {
			t.Errorf("%q is decoded as %q, %v", got, back, err)
		}
	}
}

func TestLongNamesFit(t *testing.T) {
	long, other := strings.Repeat("a", 300), strings.Repeat("a", 299)+"b"
	paths := map[string]bool{}
	for _, container := range []string{long, other, strings.Repeat(".", 86), ""} {
		path := Key{Network: "lab", Container: container, Interface: "eth0"}.path()
		paths[path] = true
		for _, part := range strings.Split(path, "/") {
			if part == "" || len(part) > maxName {
				t.Errorf("%q has the path %q", container, path)
			}
		}
	}
	if len(paths) != 4 {
		t.Errorf("four IDs have only %d paths", len(paths))
	}
}

// FuzzKey decodes every name from its path unless the name is too long. No path may
// leave its folder, and bpffs must accept each.
func FuzzKey(f *testing.F) {
	f.Add("lab", "0123456789abcdef", "eth0")
	f.Add("a.b", "..", "a%b.c")
	f.Add("../..", "/", "\x00")
	f.Fuzz(func(t *testing.T, network, container, ifname string) {
		path := Key{Network: network, Container: container, Interface: ifname}.path()
		if filepath.Clean(path) != path || strings.Count(path, "/") != 2 || strings.Contains(path, ".") {
			t.Errorf("%q, %q, %q have the path %q", network, container, ifname, path)
		}
		for i, name := range []string{network, container, ifname} {
			part := strings.Split(path, "/")[i]
			if back, err := decodeName(part); !strings.Contains(part, hashSign) && (err != nil || back != name) {
				t.Errorf("%q came back as %q, %v", name, back, err)
			}
		}
	})
}
