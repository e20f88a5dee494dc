package printable

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	for text, want := range map[string]string{
		"":                   "",
		`plain "text" \n`:    `plain "text" \n`,
		"grün 東京 🚀":          "grün 東京 🚀",
		"\x1b[31m\a\x7f\r\n": `\x1b[31m\a\x7f\r\n`,
		"\u0085\u009b2J":     `\u0085\u009b2J`,
		"a\u202eb\u2066c":    `a\u202eb\u2066c`,
		"\ufeff\u200b\u00a0": `\ufeff\u200b\u00a0`,
		"bad \xff\xc3 UTF-8": `bad \xff\xc3 UTF-8`,
		"\ufffd is one":      "\ufffd is one",
	} {
		if got := Text(text); got != want {
			t.Errorf("Text(%q) = %s, want %s", text, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for text, want := range map[string]string{
		"12345678":                    "12345678",
		"123456789":                   "12345678…",
		"grün 東京":                     "grün 東京",
		"grün 東京 🚀":                   "grün 東京 …",
		"\u202e":                      `\u202e`,
		"ab\u202ecd":                  `ab\u202e…`,
		strings.Repeat("\x1b", 1<<20): `\x1b\x1b…`,
	} {
		if got := Short(text, 8); got != want {
			t.Errorf("Short(%.20q, 8) = %s, want %s", text, got, want)
		}
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]string{
		"12345678":                    "12345678",
		"123456789":                   "12345678…",
		"東京東京":                        "東京…",
		strings.Repeat("\x1b", 1<<20): `\x1b\x1b…`,
	} {
		if got := Bytes(text, 8); got != want {
			t.Errorf("Bytes(%.20q, 8) = %s, want %s", text, got, want)
		}
	}
}

func TestLines(t *testing.T) {
	if got, want := Lines("a\tb\n\x1b\n"), "a\tb\n\\x1b\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestJSON(t *testing.T) {
	const text = "{\n\t\"a\u202e\": \"grün\u009b\x7f\U000e0001\"\n}\n"
	got := JSON(text)
	if want := "{\n\t\"a\\u202e\": \"grün\\u009b\\u007f\\udb40\\udc01\"\n}\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var before, after any
	if json.Unmarshal([]byte(text), &before) != nil || json.Unmarshal([]byte(got), &after) != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("%v became %v", before, after)
	}
}

func TestColoured(t *testing.T) {
	for text, want := range map[string]string{
		"a \x1b[31mred\x1b[0m\n":   "a \x1b[31mred\x1b[0m\n",
		"\x1b[1;31m\x1b[2J\u009bm": "\x1b[1;31m" + `\x1b[2J\u009bm`,
		"\x1b[31":                  `\x1b[31`,
		"\x1b]0;title\a":           `\x1b]0;title\a`,
	} {
		if got := Coloured(text); got != want {
			t.Errorf("Coloured(%q) = %q, want %q", text, got, want)
		}
	}
}
