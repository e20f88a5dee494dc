package main

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestRivals has a rival rewrite the conflist every second for ten minutes.
func TestRivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r rivals
		written := 0
		for range 10 * 60 {
			time.Sleep(time.Second)
			if !r.tooMany() {
				r.note()
				written++
			}
		}
		if most := 10 * rivalLimit; written < rivalLimit || written > most {
			t.Errorf("it was written %d times, want at most %d", written, most)
		}
		time.Sleep(2 * rivalMemory)
		if r.tooMany() {
			t.Error("a quarrel that is over is remembered")
		}
	})
}
