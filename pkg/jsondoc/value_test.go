package jsondoc

import (
	"strings"
	"testing"
)

// TestValuesKnowTheirPlace has all kinds of values, with white space between them.
func TestValuesKnowTheirPlace(t *testing.T) {
	const stdin = " {\"a\" : [ 1 ,\t{\"\\u0062\": [\"x\\n\" , null ] } , -5.0e1 ],\n\"c\":{ } , \"long\": \"" + "………………" + "\" } "
	document, err := Parse([]byte(stdin))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSpace(stdin)
	var seen []string
	var walk func(v *Value)
	walk = func(v *Value) {
		seen = append(seen, v.Place()+"="+v.String())
		if got := text[v.Offset() : v.Offset()+len(v.Raw())]; got != string(v.Raw()) {
			t.Errorf("%s: at %d is %q, want %q", v.Place(), v.Offset(), got, v.Raw())
		}
		for _, m := range v.Members() {
			walk(m)
		}
		for _, e := range v.Elements() {
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
