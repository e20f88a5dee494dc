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

func TestKeyPathRefusesWhatBPFFSDoes(t *testing.T) {
	for _, key := range []Key{
		{Network: "lab", Container: strings.Repeat("a", 256), Interface: "eth0"},
		{Network: "lab", Container: strings.Repeat(".", 86), Interface: "eth0"},
		{Network: "", Container: "a", Interface: "eth0"},
	} {
		if path, err := key.path(); err == nil {
			t.Errorf("%+v has the path %q", key, path)
		}
	}
}

// FuzzKey wants every key back from its path, and no path that leaves its
// folder or that bpffs refuses.
func FuzzKey(f *testing.F) {
	f.Add("lab", "0123456789abcdef", "eth0")
	f.Add("a.b", "..", "a%b.c")
	f.Add("../..", "/", "\x00")
	f.Fuzz(func(t *testing.T, network, container, ifname string) {
		key := Key{Network: network, Container: container, Interface: ifname}
		path, err := key.path()
		if err != nil {
			return
		}
		if filepath.Clean(path) != path || strings.Count(path, "/") != 2 || strings.Contains(path, ".") {
			t.Errorf("%+v has the path %q", key, path)
		}
		back, err := keyAt("/sys/fs/bpf/xdp-port/rulesets/x/attachments/" + path)
		if err != nil || back != key {
			t.Errorf("%+v came back as %+v, %v", key, back, err)
		}
	})
}
