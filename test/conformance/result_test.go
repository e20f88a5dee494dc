package conformance

import (
	"encoding/json"
	"net"
	"reflect"
	"testing"

	"github.com/containernetworking/cni/pkg/types"
	types040 "github.com/containernetworking/cni/pkg/types/040"
	types100 "github.com/containernetworking/cni/pkg/types/100"

	"github.com/xdp-port/xdp-port/test/node"
)

// versions are the versions that the plugin supports.
var versions = []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// TestPrevResultPassesThrough passes results with every field that the CNI library knows,
// and one that it does not know. They must come back unchanged, in JSON and as the library
// decodes them.
func TestPrevResultPassesThrough(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			full := fullResult(t, version)
			given := toJSON(t, full)
			given["x-later"] = map[string]any{"list": []any{nil, 1.5, "<&>"}}
			given["ips"].([]any)[0].(map[string]any)["x-later"] = true
			for _, configured := range []config{lab(), lab().with("rules", []any{})} {
				answer := succeed(t, n, l.call(t, "ADD", configured.with("cniVersion", version, "prevResult", given)))
				var got map[string]any
				must(t, json.Unmarshal(answer.Stdout, &got))
				if !reflect.DeepEqual(got, given) {
					t.Errorf("gave %v\ngot  %v", given, got)
				}
				decoded, err := newResult(version, answer.Stdout)
				must(t, err)
				if !reflect.DeepEqual(decoded, full) {
					t.Errorf("gave %+v\ngot  %+v", full, decoded)
				}
			}
		})
	}
}

// TestResultThatCannotBePrinted runs ADD with stdout on a full disk. ADD must detach what it
// has attached; earlier attachments stay.
func TestResultThatCannotBePrinted(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	before := node.State()
	add := l.call(t, "ADD", lab())
	add.Through = []string{"sh", "-c", `exec "$0" > /dev/full`}
	mustNotSucceed := func() {
		t.Helper()
		if _, err := n.Call(add); err == nil {
			t.Fatal("ADD succeeded without printing the result")
		}
	}
	mustNotSucceed()
	l.wantNoPrograms(t)
	must(t, before.Unchanged())
	l.succeed(t, "ADD", lab())
	mustNotSucceed()
	l.wantRules(t)
	l.succeed(t, "CHECK", lab())
}

// TestPrevResultIsConverted passes results of another version than the configuration's, as
// careless plugins do.
func TestPrevResultIsConverted(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	for _, from := range versions {
		for _, to := range versions {
			given := fullResult(t, from)
			want, err := given.GetAsVersion(to)
			must(t, err)
			answer := succeed(t, n, l.call(t, "ADD", lab().with("cniVersion", to, "prevResult", given)))
			got, err := newResult(to, answer.Stdout)
			must(t, err)
			if !reflect.DeepEqual(toJSON(t, got), toJSON(t, want)) {
				t.Errorf("%s to %s: got %+v, want %+v", from, to, got, want)
			}
		}
	}
}

func newResult(version string, text []byte) (types.Result, error) {
	if version < "1.0.0" {
		return types040.NewResult(text)
	}
	return types100.NewResult(text)
}

func toJSON(t *testing.T, value any) (decoded map[string]any) {
	t.Helper()
	text, err := json.Marshal(value)
	must(t, err)
	must(t, json.Unmarshal(text, &decoded))
	return decoded
}

// fullResult makes a result with every field set. The test fails if the library gets a new
// field, until it is set here.
func fullResult(t *testing.T, version string) types.Result {
	t.Helper()
	var result types.Result
	if version < "1.0.0" {
		result = full040(version)
	} else {
		result = full100(version)
	}
	wantAllSet(t, reflect.ValueOf(result), "result")
	return result
}

func full040(version string) *types040.Result {
	return &types040.Result{
		CNIVersion: version,
		Interfaces: []*types040.Interface{{Name: "eth0", Mac: "0a:58:0a:58:00:02", Sandbox: "/run/netns/a"}},
		IPs: []*types040.IPConfig{
			{Version: "4", Interface: types040.Int(1), Address: network("10.88.0.2/16"), Gateway: net.ParseIP("10.88.0.1")},
			{Version: "6", Interface: types040.Int(1), Address: network("fd00:88::2/64"), Gateway: net.ParseIP("fd00:88::1")},
		},
		Routes: routes(),
		DNS:    dns(),
	}
}

func full100(version string) *types100.Result {
	return &types100.Result{
		CNIVersion: version,
		Interfaces: []*types100.Interface{{
			Name: "eth0", Mac: "0a:58:0a:58:00:02", Mtu: 1450, Sandbox: "/run/netns/a",
			SocketPath: "/run/vhost.sock", PciID: "0000:00:1f.6",
		}},
		IPs: []*types100.IPConfig{
			{Interface: types100.Int(1), Address: network("10.88.0.2/16"), Gateway: net.ParseIP("10.88.0.1")},
			{Interface: types100.Int(1), Address: network("fd00:88::2/64"), Gateway: net.ParseIP("fd00:88::1")},
		},
		Routes: routes(),
		DNS:    dns(),
	}
}

func network(text string) net.IPNet {
	parsed, err := types.ParseCIDR(text)
	if err != nil {
		panic(err)
	}
	return *parsed
}

func routes() []*types.Route {
	table, scope := 100, 253
	return []*types.Route{{
		Dst: network("10.1.0.0/16"), GW: net.ParseIP("10.88.0.1"), MTU: 1400, AdvMSS: 1360, Priority: 7, Table: &table, Scope: &scope,
	}}
}

func dns() types.DNS {
	return types.DNS{
		Nameservers: []string{"10.88.0.1", "fd00:88::1"}, Domain: "local", Search: []string{"example.org"}, Options: []string{"ndots:2"},
	}
}

// wantAllSet fails the test if a field is zero, at any depth.
func wantAllSet(t *testing.T, v reflect.Value, place string) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			wantAllSet(t, v.Elem(), place)
			return
		}
	case reflect.Struct:
		for i := range v.NumField() {
			wantAllSet(t, v.Field(i), place+"."+v.Type().Field(i).Name)
		}
		return
	case reflect.Slice:
		if elem := v.Type().Elem().Kind(); elem == reflect.Pointer {
			for i := range v.Len() {
				wantAllSet(t, v.Index(i), place)
			}
		}
	}
	if v.IsZero() {
		t.Fatalf("%s is not set", place)
	}
}
