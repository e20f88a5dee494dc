package terminal

import (
	"testing"
	"time"
)

func TestAge(t *testing.T) {
	for ago, want := range map[time.Duration]string{
		time.Second: "1s", 3 * time.Minute: "3m", 3 * time.Hour: "3h", 50 * time.Hour: "2d",
		-time.Hour: "0s", // the clock was set back
	} {
		if got := Age(time.Now().Add(-ago)); got != want {
			t.Errorf("%s ago: got %s, want %s", ago, got, want)
		}
	}
	if got := Age(time.Time{}); got != "-" {
		t.Errorf("the zero time: got %q", got)
	}
}

func TestCutLines(t *testing.T) {
	const text = "größer\nab\n\nabcdef"
	for width, want := range map[int]string{0: text, 3: "grö\nab\n\nabc", 10: text} {
		if got := CutLines(text, width); got != want {
			t.Errorf("%d: got %q, want %q", width, got, want)
		}
	}
}

func TestPaintDiff(t *testing.T) {
	const diff = "diff in force desired\n--- in force\n+++ desired\n@@ -1,2 +1,2 @@\n mode tc\n-a\n+b\n"
	if got, want := NewPrinter(nil).PaintDiff(diff), "   mode tc\n  -a\n  +b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
