package main

import (
	"testing"
	"time"
)

func TestAge(t *testing.T) {
	for ago, want := range map[time.Duration]string{
		time.Second: "1s", 3 * time.Minute: "3m", 3 * time.Hour: "3h", 50 * time.Hour: "2d",
		-time.Hour: "0s", // the clock was set back
	} {
		if got := age(time.Now().Add(-ago)); got != want {
			t.Errorf("what was attached %s ago is %s old, should be %s", ago, got, want)
		}
	}
	if got := age(time.Time{}); got != "-" {
		t.Errorf("of what has no time it says %q", got)
	}
}
