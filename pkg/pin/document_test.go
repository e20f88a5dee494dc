package pin

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
)

type memo struct {
	Text string `json:"text"`
	Kind string `json:"kind"`
}

// TestDocumentIsReplaced writes a document twice, the second time after a process that was
// killed in the middle of that.
func TestDocumentIsReplaced(t *testing.T) {
	dir := bpftest.BPFFS(t)
	for _, text := range []string{"one", "another, longer"} {
		if err := WriteDocument(dir, "memo", memo{Text: text}); err != nil {
			t.Fatal(err)
		}
		var got memo
		if err := ReadDocument(dir, "memo", &got); err != nil || got.Text != text {
			t.Errorf("read %+v, %v, want %q", got, err, text)
		}
		bpftest.PinText(t, dir, "memo_new", "half")
	}
	if err := Remove(filepath.Join(dir, "memo_new")); err != nil {
		t.Error(err)
	}
}

// TestDocumentErrors reads what is no document of this build.
func TestDocumentErrors(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want error
	}{
		"nothing":        {"", os.ErrNotExist},
		"no JSON":        {"xdp-port", ErrUnreadable},
		"another type":   {`{"text":{}}`, ErrUnreadable},
		"newer":          {`{"schemaVersion":3,"text":"a"}`, ErrNewer},
		"newer and odd":  {`{"schemaVersion":4,"kind":{"a":1},"text":"a"}`, ErrNewer},
		"version a word": {`{"schemaVersion":"two","text":"a"}`, ErrUnreadable},
	} {
		dir := bpftest.BPFFS(t)
		if test.text != "" {
			bpftest.PinText(t, dir, "memo", test.text)
		}
		var got memo
		err := ReadDocument(dir, "memo", &got)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
		if errors.Is(test.want, ErrNewer) && got.Text != "a" {
			t.Errorf("%s: what is known was not read: %+v", name, got)
		}
	}
}

func TestDecodeEnum(t *testing.T) {
	words := []string{"generic", "native"}
	for text, want := range map[string]uint32{`"native"`: 1, "1": 1, "7": 7, `"quantum"`: UnknownEnum} {
		if got, err := DecodeEnum([]byte(text), words); got != want || err != nil {
			t.Errorf("%s is %d, %v, want %d", text, got, err, want)
		}
	}
	if got, err := DecodeEnum([]byte("{}"), words); err == nil || got != UnknownEnum {
		t.Errorf("an object is %d, %v", got, err)
	}
}
