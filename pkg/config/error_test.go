package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestErrorForCNI(t *testing.T) {
	_, err := Parse([]byte(network(`"flows": 0, "mode": "xdp"`)))
	var invalid *Error
	if !errors.As(err, &invalid) {
		t.Fatalf("got %T, want an *Error", err)
	}
	got := invalid.CNI()
	const want = `flows: 0 is not a number of flows (a whole number, 1024 to 1048576); mode: "xdp" is not a mode (auto, native, generic, offload or tc)`
	if got.Code != 7 || got.Msg != want || got.Details != "" {
		t.Errorf("got %+v, want code 7 and %s", got, want)
	}
}

// TestErrorIsBounded has many long and hostile problems.
func TestErrorIsBounded(t *testing.T) {
	const size = 240 << 10
	long := strings.Repeat("a", size)
	hostile := strings.Repeat("\u202e\u009b\x7f", size)
	keys := func(key string) string {
		var b strings.Builder
		for i := range 5000 {
			fmt.Fprintf(&b, `, "%s%d": 1`, key, i)
		}
		return b.String()
	}
	annotated := func(list string) string {
		text, _ := json.Marshal(list)
		return network(`"capabilities": {"io.kubernetes.cri.pod-annotations": true}, ` +
			`"runtimeConfig": {"io.kubernetes.cri.pod-annotations": {"xdp-port/rules": ` + string(text) + `}}`)
	}
	in := func(rule string) string {
		return network(`"rules": [{"protocol": "tcp", "action": "drop", ` + rule + `}]`)
	}
	for name, stdin := range map[string]string{
		"annotation no list":      annotated(`"` + long + `"`),
		"annotation no JSON":      annotated(long),
		"annotation many keys":    annotated(`[{"protocol": "tcp"` + keys("x") + `}]`),
		"annotation many rules":   annotated(`[` + strings.Repeat(`5, `, size) + `5]`),
		"annotation hostile":      annotated(`[{"` + hostile + `": ["` + hostile + `"]}]`),
		"keys":                    network(`"mode": "tc"` + keys("\u202e"+long[:60])),
		"keys is given twice":     network(`"mode": "tc"` + strings.Repeat(`, "mode": "tc"`, 5000)),
		"long key":                network(`"` + long + `": 1`),
		"hostile key":             network(`"` + hostile + `": 1`),
		"hostile mode":            network(`"mode": "` + hostile + `"`),
		"hostile object":          network(`"mode": {"` + hostile + `": "` + hostile + `"}`),
		"mode that splits lines":  network(`"mode": {"a": "\u2028` + "\u2028\u0085" + `"}`),
		"zone":                    in(`"cidrs": ["fe80::1%` + long + `/64"]`),
		"hostile zone":            in(`"cidrs": ["fe80::1%` + hostile + `/64"]`),
		"flows of many digits":    network(`"flows": 1` + strings.Repeat("0", size)),
		"flows of a string":       network(`"flows": "1` + strings.Repeat("0", size) + `"`),
		"port of many digits":     in(`"port": 1` + strings.Repeat("0", size)),
		"range of many digits":    in(`"port": "1` + strings.Repeat("0", size) + `-2"`),
		"prevResult of a version": network(`"prevResult": {"cniVersion": "` + hostile + `"}`),
		"prevResult's address":    network(`"prevResult": {"ips": [{"address": "` + hostile + `"}]}`),
		"prevResult's route":      network(`"prevResult": {"routes": [{"dst": "` + long + `"}]}`),
		"network name":            network(`"name": "` + hostile + `"`),
		"cniVersion":              network(`"prevResult": {"cniVersion": "1.0.0"}, "cniVersion": "` + hostile + `"`),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Parse([]byte(stdin))
			var invalid *Error
			if !errors.As(err, &invalid) {
				t.Fatalf("got %T", err)
			}
			msg := invalid.CNI().Msg
			if len(msg) >= 8<<10 {
				t.Errorf("the message has %d bytes: %.300q", len(msg), msg)
			}
			if !utf8.ValidString(msg) || strings.ContainsFunc(msg, func(r rune) bool { return !strconv.IsPrint(r) }) {
				t.Errorf("the message cannot be printed: %.300q", msg)
			}
			if len(invalid.Problems) > 20 || invalid.More > 0 && !strings.HasSuffix(msg, " more") {
				t.Errorf("%d problems and %d more: %s", len(invalid.Problems), invalid.More, msg)
			}
		})
	}
}

// TestErrorSaysHowManyMore finds problems in another order than that of the document.
func TestErrorSaysHowManyMore(t *testing.T) {
	_, err := Parse([]byte(`{"cniVersion": "1.1.0", "name": "lab", "rules": [` + strings.Repeat(`5, `, 29) + `5], "mode": 1}`))
	if err == nil || !strings.HasPrefix(err.Error(), "rules[0]: ") || !strings.Contains(err.Error(), "rules[19]: ") ||
		!strings.HasSuffix(err.Error(), "; and 11 more") {
		t.Errorf("got %v", err)
	}
	_, err = Parse([]byte(network(`"mode": 1` + strings.Repeat(`, "mode": 1`, 20))))
	if err == nil || !strings.HasSuffix(err.Error(), "; and 1 more") {
		t.Errorf("got %v", err)
	}
}
