package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestVersion reads the versions that runtimes choose from.
func TestVersion(t *testing.T) {
	n := node.ForTest(t)
	for _, stdin := range []string{`{"cniVersion": "1.1.0"}`, ``} {
		answer := succeed(t, n, node.Call{Operation: "VERSION", Stdin: []byte(stdin)})
		var got struct {
			CNIVersion        string   `json:"cniVersion"`
			SupportedVersions []string `json:"supportedVersions"`
		}
		must(t, json.Unmarshal(answer.Stdout, &got))
		if got.CNIVersion != "1.1.0" || !slices.Equal(got.SupportedVersions, versions) {
			t.Errorf("VERSION answers %+v", got)
		}
	}
}

// TestOperationsByVersion runs each operation in each version, even if the version lacks
// it. Removing must not fail because of a version: GC accepts all later ones, DEL all.
func TestOperationsByVersion(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	since := map[string]string{"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}
	spoken := func(operation, version string) bool {
		return slices.Contains(versions, version) || operation == "DEL" || operation == "GC" && version > "1.1.0"
	}
	for _, version := range append(versions, "0.1.0", "0.2.0", "1.2.0", "2.0.0", "") {
		configured := lab().with("cniVersion", version, "prevResult", map[string]any{"cniVersion": version})
		for _, operation := range []string{"ADD", "CHECK", "STATUS", "GC", "DEL"} {
			t.Run(fmt.Sprintf("%s %q", operation, version), func(t *testing.T) {
				if spoken(operation, version) && version >= since[operation] {
					l.succeed(t, operation, configured)
				} else {
					fail(t, n, l.call(t, operation, configured), 1, "version")
				}
			})
		}
	}
}

// TestMalformedCalls makes calls that no runtime should make.
func TestMalformedCalls(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	before := node.State()
	for name, tt := range map[string]struct {
		change func(*node.Call)
		code   uint
	}{
		"no container ID":    {func(c *node.Call) { c.ContainerID = "" }, 4},
		"a path for an ID":   {func(c *node.Call) { c.ContainerID = "../a" }, 4},
		"no netns":           {func(c *node.Call) { c.NetNS = "" }, 4},
		"no interface name":  {func(c *node.Call) { c.IfName = "" }, 4},
		"a path for a name":  {func(c *node.Call) { c.IfName = "../eth0" }, 4},
		"name too long":      {func(c *node.Call) { c.IfName = strings.Repeat("e", 16) }, 4},
		"no JSON":            {func(c *node.Call) { c.Stdin = []byte(`{"cniVersion":`) }, 6},
		"nothing":            {func(c *node.Call) { c.Stdin = nil }, 6},
		"no network name":    {func(c *node.Call) { c.Stdin = lab().without("name").bytes(t) }, 7},
		"a path for network": {func(c *node.Call) { c.Stdin = lab().with("name", "../lab").bytes(t) }, 7},
		"prevResult missing": {func(c *node.Call) { c.Stdin = lab().without("prevResult").bytes(t) }, 7},
		"prevResult invalid": {func(c *node.Call) { c.Stdin = lab().with("prevResult", []any{}).bytes(t) }, 7},
		"rules invalid":      {func(c *node.Call) { c.Stdin = lab().with("rules", 5).bytes(t) }, 7},
		"netns not there":    {func(c *node.Call) { c.NetNS = "/run/netns/never-was" }, 8},
		"netns a plain file": {func(c *node.Call) { c.NetNS = "/etc/hostname" }, 8},
		"netns of the host":  {func(c *node.Call) { c.NetNS = n.NS.Path() }, 8},
		"no such interface":  {func(c *node.Call) { c.IfName = "eth1" }, 101},
	} {
		for _, operation := range []string{"ADD", "CHECK"} {
			t.Run(operation+" "+name, func(t *testing.T) {
				call := l.call(t, operation, lab())
				tt.change(&call)
				answer := run(t, n, call)
				if answer.Refusal == nil {
					t.Fatalf("it succeeded, should fail with code %d", tt.code)
				}
				// CHECK may first find that nothing is attached.
				if got := answer.Refusal.Code; got != tt.code && (operation == "ADD" || tt.code < 8 || got != 100) {
					t.Errorf("the code is %d, should be %d: %s", got, tt.code, answer.Refusal)
				}
			})
		}
	}
	for stdin, says := range map[string]struct {
		code  uint
		words string
	}{
		`[]`:                                 {6, "stdin: configuration: [] is not an object: write"},
		"\ufeff{}":                           {6, "stdin: line 1, column 1: starts with a byte order mark (U+FEFF): save it without"},
		`ü`:                                  {6, "stdin: line 1, column 1: invalid character 'ü'"},
		`{"cniVersion": 5, "name": "lab"}`:   {7, `cniVersion: 5 is not a string: write "1.1.0"`},
		`{"cniVersion": "x", "name": "lab"}`: {1, `cniVersion: xdp-port does not support version "x" of CNI: write one of 0.3.0,`},
		`{"cniVersion": "1.1.0"}`:            {7, "name is missing: give the network a name"},
		`{"cniVersion": "1.1.0", "name": 5}`: {7, "name: 5 is not a string"},
	} {
		for _, operation := range []string{"ADD", "CHECK", "DEL", "GC", "STATUS"} {
			if operation == "DEL" && strings.Contains(stdin, `"lab"`) {
				continue // DEL reads no version
			}
			call := l.call(t, operation, lab())
			call.Stdin = []byte(stdin)
			fail(t, n, call, says.code, says.words)
		}
	}
	fail(t, n, node.Call{Operation: "FLY", Stdin: lab().bytes(t)}, 4, "FLY")
	must(t, before.Unchanged())
}

// TestErrorsNameTheVersion expects the version that the CNI library leaves out of an error,
// also where the library skips reading one.
func TestErrorsNameTheVersion(t *testing.T) {
	n := node.ForTest(t)
	for stdin, want := range map[string]string{
		`{"cniVersion": "0.4.0", "name": "lab", "rules": 5}`:  "0.4.0",
		`{"cniVersion": "1.0.0", "name": "lab"}`:              "1.0.0",
		`{"cniVersion": "1.1.0", "name": "lab"}`:              "1.1.0",
		`{"cniVersion": "9.9.9", "name": "lab"}`:              "1.1.0", // no library knows an error of that version
		`{"cniVersion": "1.0.0", "name": "lab", "rules": [} `: "1.1.0",
	} {
		answer := run(t, n, node.Call{
			Operation: "ADD", ContainerID: "a", NetNS: n.NS.Path(), IfName: "eth0", Stdin: []byte(stdin),
		})
		var got struct {
			CNIVersion string `json:"cniVersion"`
			Code       uint   `json:"code"`
			Msg        string `json:"msg"`
		}
		must(t, json.Unmarshal(answer.Stdout, &got))
		if got.CNIVersion != want || got.Code == 0 || got.Msg == "" {
			t.Errorf("%s gets %s, should be of version %s", stdin, answer.Stdout, want)
		}
	}
}

// TestPathIsOptional leaves out what runtimes may leave out.
func TestPathIsOptional(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	for _, operation := range []string{"STATUS", "ADD", "CHECK", "GC", "DEL"} {
		call := l.call(t, operation, lab())
		call.Through = []string{"env", "--unset", "CNI_PATH", "--unset", "CNI_ARGS"}
		succeed(t, n, call)
	}
}
