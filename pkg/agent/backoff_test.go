package agent

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestBackoff has another installer rewrite the conflist every second for ten minutes.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b backoff
		written := 0
		for range 10 * 60 {
			time.Sleep(time.Second)
			if !b.isActive() {
				b.rewritten()
				written++
			}
		}
		if most := 10 * rewriteLimit; written < rewriteLimit || written > most {
			t.Errorf("it was written %d times, want at most %d", written, most)
		}
		time.Sleep(2 * rewriteMemory)
		if b.isActive() {
			t.Error("the backoff does not end")
		}
	})
}
