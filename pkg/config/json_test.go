package config

import (
	"strings"
	"testing"
)

func TestSyntaxMistakes(t *testing.T) {
	checkMistakes(t, []mistake{
		{"nothing", ``, `line 1, column 1: is empty: JSON is expected`},
		{"cut off", `{"name": "lab"`, `line 1, column 14: unexpected end of JSON input`},
		{"cut off lines", "{\n  \"name\":", `line 2, column 9: unexpected end of JSON input`},
		{"no JSON", `name: lab`, `line 1, column 2: invalid character 'a' in literal null (expecting 'u')`},
		{"comma at the end", "{\n  \"rules\": [\n    {},\n  ]\n}", `line 4, column 3: invalid character ']' looking for beginning of value`},
		{"behind wide characters", `{"name": "ÄÖÜ" 5}`, `line 1, column 16: invalid character '5' after object key:value pair`},
		{"newline at fault", "{\"name\": \"lab\n\"}", `line 1, column 14: invalid character '\n' in string literal`},
		{"byte order mark", "\ufeff{}", `line 1, column 1: starts with a byte order mark (U+FEFF); save it without`},
		{"byte order mark within", "{\"plugins\": [\n\ufeff{}]}", `line 2, column 1: byte order mark (U+FEFF); save the file without`},
		{"nothing but space", "\n \t", `line 1, column 1: is empty: JSON is expected`},
		{"wide character", `ü{}`, `line 1, column 1: invalid character 'ü' (U+00FC) looking for beginning of value`},
		{"wide character later", `{"name": "Ä", 🚀}`, `line 1, column 15: invalid character '🚀' (U+1F680) looking for beginning of object key string`},
		{"a space that is none", "{\u00a0}", `line 1, column 2: invalid character '\u00a0' (U+00A0) looking for beginning of object key string`},
		{"no UTF-8", "\xff\xfe{", `line 1, column 1: byte 0xFF, which is not UTF-8, looking for beginning of value`},
		{"more than one", `{} {}`, `line 1, column 4: invalid character '{' after top-level value`},
	})
}

// Mistakes are sorted by offset, and the raw bytes are what is shown.
func TestValuesKnowWhereTheyStand(t *testing.T) {
	const stdin = " {\"a\" : [ 1 ,\t{\"\\u0062\": [\"x\\n\" , null ] } , -5.0e1 ],\n\"c\":{ } , \"long\": \"" + "………………" + "\" } "
	document, err := parseDocument([]byte(stdin))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(stdin)
	var seen []string
	var walk func(v *value)
	walk = func(v *value) {
		seen = append(seen, v.place()+"="+v.String())
		if got := text[v.offset : int(v.offset)+len(v.raw)]; got != string(v.raw) {
			t.Errorf("%s: at %d stands %q, not %q", v.place(), v.offset, got, v.raw)
		}
		for _, m := range v.members() {
			walk(m)
		}
		for _, e := range v.elements() {
			walk(e)
		}
	}
	walk(document)
	want := []string{
		`configuration={"a":[1,{"\u0062":["x\n",null]},-5.0e1],"c":{},"long":"………………"}`,
		`a=[1,{"\u0062":["x\n",null]},-5.0e1]`, `a[0]=1`, `a[1]={"\u0062":["x\n",null]}`,
		`a[1].b=["x\n",null]`, `a[1].b[0]="x\n"`, `a[1].b[1]=null`, `a[2]=-5.0e1`,
		`c={}`, `long="………………"`,
	}
	if strings.Join(seen, "\n") != strings.Join(want, "\n") {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
	}
}
