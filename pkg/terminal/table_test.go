package terminal

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestTableFits has more text than fits: only columns that may shrink do, unless the table is
// wide.
func TestTableFits(t *testing.T) {
	long := strings.Repeat("network-", 10)
	for _, isWide := range []bool{false, true} {
		table := NewTable(isWide, Column{"network", Cuts}, Column{"address", 0}, Column{"problem", Wraps}, Column{"id", Wide})
		table.Row(long, "[fd00:1234:5678:9abc::1]:65535", strings.Repeat("words ", 20), "4711")
		text := table.String()
		widest := 0
		for _, line := range strings.Split(text, "\n") {
			widest = max(widest, utf8.RuneCountInString(line))
		}
		if isWide != (widest > Width) || isWide != strings.Contains(text, long) || isWide != strings.Contains(text, "4711") {
			t.Errorf("wide %v: %d columns:\n%s", isWide, widest, text)
		}
		if !strings.Contains(text, "[fd00:1234:5678:9abc::1]:65535") {
			t.Errorf("the address is cut:\n%s", text)
		}
	}
}

func TestWrap(t *testing.T) {
	lines := strings.Split(Wrap(strings.Repeat("some words ", 20)), "\n")
	for i, line := range lines {
		if len(line) > Width || i > 0 && !strings.HasPrefix(line, Gap) || strings.HasSuffix(line, " ") {
			t.Errorf("line %d: %q", i, line)
		}
	}
	if len(lines) < 3 {
		t.Errorf("%q is not wrapped", lines)
	}
}
