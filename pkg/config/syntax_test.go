package config

import "testing"

func TestSyntaxProblems(t *testing.T) {
	checkRefusals(t, []refused{
		{"nothing", ``, `line 1, column 1: the text is empty: JSON is expected`},
		{"cut off", `{"name": "lab"`, `line 1, column 14: unexpected end of JSON input`},
		{"cut off lines", "{\n  \"name\":", `line 2, column 9: unexpected end of JSON input`},
		{"no JSON", `name: lab`, `line 1, column 2: invalid character 'a' in literal null (expecting 'u')`},
		{"comma at the end", "{\n  \"rules\": [\n    {},\n  ]\n}", `line 4, column 3: invalid character ']' looking for beginning of value`},
		{"behind wide characters", `{"name": "ÄÖÜ" 5}`, `line 1, column 16: invalid character '5' after object key:value pair`},
		{"newline at fault", "{\"name\": \"lab\n\"}", `line 1, column 14: invalid character '\n' in string literal`},
		{"byte order mark", "\ufeff{}", `line 1, column 1: starts with a byte order mark (U+FEFF): save it without`},
		{"byte order mark within", "{\"plugins\": [\n\ufeff{}]}", `line 2, column 1: byte order mark (U+FEFF): save the file without`},
		{"nothing but space", "\n \t", `line 1, column 1: the text is empty: JSON is expected`},
		{"wide character", `ü{}`, `line 1, column 1: invalid character 'ü' (U+00FC) looking for beginning of value`},
		{"wide character later", `{"name": "Ä", 🚀}`, `line 1, column 15: invalid character '🚀' (U+1F680) looking for beginning of object key string`},
		{"a space that is none", "{\u00a0}", `line 1, column 2: invalid character '\u00a0' (U+00A0) looking for beginning of object key string`},
		{"no UTF-8", "\xff\xfe{", `line 1, column 1: byte 0xFF, which is not UTF-8, looking for beginning of value`},
		{"more than one", `{} {}`, `line 1, column 4: invalid character '{' after top-level value`},
	})
}
