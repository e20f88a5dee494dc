package confedit

import (
	"strings"
	"testing"

	"github.com/containernetworking/cni/libcni"

	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// TestInline appends drop-ins to lists with and without plugins. Locate must find each
// place in its file.
func TestInline(t *testing.T) {
	dropIns := []DropIn{
		{"10.conf", []byte("{\n  \"type\": \"ptp\"\n}\n")},
		{"20.conf", []byte(`{"type": "xdp-port", "rules": []}`)},
	}
	for list, want := range map[string]string{
		`{"cniVersion": "1.0.0", "name": "x"}`:                               "ptp xdp-port",
		"{\n\"cniVersion\": \"1.0.0\", \"name\": \"x\"\n}\n":                 "ptp xdp-port",
		`{"plugins": [{"type": "bridge"}], "name": "x"}`:                     "bridge ptp xdp-port",
		" {\"name\": \"x\", \"plugins\": [\n{\"type\": \"bridge\"}\n ]}\n\n": "bridge ptp xdp-port",
	} {
		in := Inline([]byte(list), dropIns)
		read, err := libcni.NetworkConfFromBytes(in.Text)
		if err != nil {
			t.Errorf("%s: %v in\n%s", list, err, in.Text)
			continue
		}
		var kinds []string
		for _, plugin := range read.Plugins {
			kinds = append(kinds, plugin.Network.Type)
		}
		if got := strings.Join(kinds, " "); got != want {
			t.Errorf("%s: the plugins are %s, want %s", list, got, want)
		}
		for needle, file := range map[string]string{`"ptp"`: "10.conf", `"xdp-port"`: "20.conf", `"name"`: ""} {
			path, at := in.Locate(jsondoc.PositionAt(in.Text, strings.Index(string(in.Text), needle)))
			source := list
			for _, dropIn := range dropIns {
				if dropIn.Path == path {
					source = string(dropIn.Text)
				}
			}
			if path != file || at != jsondoc.PositionAt([]byte(source), strings.Index(source, needle)) {
				t.Errorf("%s in %s is found at %s in %q", needle, list, at, path)
			}
		}
	}
	for _, list := range []string{`{"name": "x", "plugins": {}}`, `]`} {
		if in := Inline([]byte(list), dropIns); string(in.Text) != list {
			t.Errorf("%s becomes %s", list, in.Text)
		}
	}
}

func TestDropInFolder(t *testing.T) {
	for list, want := range map[string]string{
		`{"name": "x"}`: "x",
		`{"name": "x", "loadOnlyInlinedPlugins": true}`:   "",
		`{"name": "x", "loadOnlyInlinedPlugins": "true"}`: "",
		`{"name": "../x"}`: "",
		`{"name": ".."}`:   "",
		`{"name": 1}`:      "",
		`]`:                "",
	} {
		if got := DropInFolder([]byte(list)); got != want {
			t.Errorf("%s: %q, want %q", list, got, want)
		}
	}
}
