package config

import (
	"errors"
	"testing"
)

func TestErrorForCNI(t *testing.T) {
	_, err := Parse([]byte(network(`"flows": 0, "mode": "xdp"`)))
	var mistakes *Error
	if !errors.As(err, &mistakes) {
		t.Fatalf("got %T, want an *Error", err)
	}
	got := mistakes.CNI()
	const want = `flows: 0 is not a number of flows (a whole number, 1024 to 1048576); mode: "xdp" is not a mode (auto, native, generic, offload or tc)`
	if got.Code != 7 || got.Msg != want || got.Details != "" {
		t.Errorf("got %+v, want code 7 and %s", got, want)
	}
}
