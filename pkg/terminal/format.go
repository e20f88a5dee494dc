package terminal

import (
	"strconv"
	"strings"
	"time"
)

// Age returns the time since then in its largest unit: "3d". It is "-" for the zero time.
func Age(since time.Time) string {
	if since.IsZero() {
		return "-"
	}
	switch d := max(0, time.Since(since)); { // the clock may have been set back
	case d < 2*time.Minute:
		return strconv.Itoa(int(d.Seconds())) + "s"
	case d < 2*time.Hour:
		return strconv.Itoa(int(d.Minutes())) + "m"
	case d < 48*time.Hour:
		return strconv.Itoa(int(d.Hours())) + "h"
	default:
		return strconv.Itoa(int(d.Hours()/24)) + "d"
	}
}

// OrDash returns the text, or "-" for an empty one.
func OrDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// CutLines cuts each line to this number of characters; 0 is no limit.
func CutLines(text string, width int) string {
	if width <= 0 {
		return text
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if runes := []rune(line); len(runes) > width {
			lines[i] = string(runes[:width])
		}
	}
	return strings.Join(lines, "\n")
}

// PaintDiff indents a diff, colours its lines, and leaves out its headings.
func (p *Printer) PaintDiff(difference string) string {
	var b strings.Builder
	for line := range strings.Lines(difference) {
		bare := strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "@@"),
			strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
			continue
		case strings.HasPrefix(line, "+"):
			bare = p.Paint(Green, bare)
		case strings.HasPrefix(line, "-"):
			bare = p.Paint(Red, bare)
		}
		b.WriteString(Gap + bare + "\n")
	}
	return b.String()
}
