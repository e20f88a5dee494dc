package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

var versions = []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// withPrevResult returns a valid configuration of a version with a prevResult.
func withPrevResult(version, prevResult string) string {
	return fmt.Sprintf(`{"cniVersion": %q, "name": "lab", "rules": [], "prevResult": %s}`, version, prevResult)
}

// TestPrevResultStaysAsItIs has fields that the CNI library does not know, and numbers that
// encoding/json rounds.
func TestPrevResultStaysAsItIs(t *testing.T) {
	for _, version := range versions {
		prevResult := fmt.Sprintf(`{ "cniVersion": %q, "later": {"a": [1, null, 9007199254740993]},
			"ips": [{"version": "4", "address": "10.88.0.2/16", "owner": "<&>"}], "routes": [], "dns": {} }`, version)
		if got := parse(t, withPrevResult(version, prevResult)).PrevResult; string(got) != prevResult {
			t.Errorf("%s: got %s", version, got)
		}
	}
}

// TestPrevResultWithoutVersion requires the version of the configuration.
func TestPrevResultWithoutVersion(t *testing.T) {
	for _, version := range versions {
		for _, member := range []string{``, `"cniVersion": "", `, `"cniVersion": null, `} {
			got := parse(t, withPrevResult(version, `{`+member+`"later": 9007199254740993}`)).PrevResult
			want := fmt.Sprintf(`{"cniVersion":%q,"later":9007199254740993}`, version)
			if string(got) != want {
				t.Errorf("%s: got %s, want %s", version, got, want)
			}
		}
		if got := parse(t, withPrevResult(version, `null`)).PrevResult; got != nil {
			t.Errorf("%s: null became %s", version, got)
		}
	}
}

// TestPrevResultIsConverted has a result in another version than the configuration.
func TestPrevResultIsConverted(t *testing.T) {
	for _, from := range versions {
		for _, to := range versions {
			result := `{"cniVersion": %q, "ips": [{"version": "4", "address": "10.88.0.2/16", "gateway": "10.88.0.1", "interface": 0}],
				"interfaces": [{"name": "eth0", "mac": "0a:00:00:00:00:01", "sandbox": "/run/netns/a"}],
				"routes": [{"dst": "0.0.0.0/0", "mtu": 1400}], "dns": {"nameservers": ["10.88.0.1"]}}`
			want := decode(t, fmt.Sprintf(result, to))
			got := decode(t, string(parse(t, withPrevResult(to, fmt.Sprintf(result, from))).PrevResult))
			if from != to {
				// Only results before 1.0.0 have the version of an address.
				for _, r := range []map[string]any{want, got} {
					delete(r["ips"].([]any)[0].(map[string]any), "version")
				}
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s to %s:\n got %v\nwant %v", from, to, got, want)
			}
		}
	}
}

func decode(t *testing.T, text string) (decoded map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &decoded); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return decoded
}

func TestPrevResultProblems(t *testing.T) {
	checkRefusals(t, []refused{
		{"no object", network(`"prevResult": 5`), `prevResult: 5 is not an object`},
		{
			"malformed", network(`"prevResult": {"ips": [{"address": "10.0.0"}]}`),
			`prevResult: invalid CIDR address: 10.0.0`,
		},
		{
			"of a version that there is not", network(`"prevResult": {"cniVersion": "9.0.0"}`),
			`prevResult: its cniVersion "9.0.0" is not a version of CNI with results: it must be one of ` +
				`0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0`,
		},
		{
			"version no string", network(`"prevResult": {"cniVersion": 1.1}`),
			`prevResult: its cniVersion 1.1 is not a string`,
		},
		{
			"long version", network(`"prevResult": {"cniVersion": "` + strings.Repeat("9", 9000) + `"}`),
			`prevResult: its cniVersion "` + strings.Repeat("9", 64) + `…" is not a version of CNI with results: it must be one of ` +
				`0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0`,
		},
		{
			"another type", network(`"prevResult": {"cniVersion": "1.0.0", "ips": 5}`),
			`prevResult: ips: CNI expects a list here, not a number`,
		},
		{
			"another type in a list", network(`"prevResult": {"cniVersion": "1.0.0", "interfaces": [5]}`),
			`prevResult: interfaces: CNI expects an object here, not a number`,
		},
		{
			"another type below", network(`"prevResult": {"cniVersion": "1.0.0", "dns": {"domain": 5}}`),
			`prevResult: dns.domain: CNI expects a string here, not a number`,
		},
		{
			"configuration of a version that there is not", withPrevResult("9.0.0", `{"cniVersion": "1.1.0"}`),
			`prevResult: has version 1.1.0, and the configuration has 9.0.0: no converter for CNI result version 1.1.0 to 9.0.0`,
		},
		{
			"null in a list", withPrevResult("1.1.0", `{"cniVersion": "0.4.0", "ips": [null]}`),
			`prevResult: has version 0.4.0, and the configuration has 1.1.0: cannot be converted: ` +
				`runtime error: invalid memory address or nil pointer dereference`,
		},
	})
}
