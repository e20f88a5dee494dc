package hook

import "testing"

// TestUnknownTCHook has String not panic.
func TestUnknownTCHook(t *testing.T) {
	if word := TCHook(99).String(); word != "unknown" {
		t.Errorf("hook 99 is %q", word)
	}
}
