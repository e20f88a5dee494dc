package terminal

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSplitCharacter writes text byte by byte: characters arrive whole, and a byte that
// begins none is escaped.
func TestSplitCharacter(t *testing.T) {
	var out bytes.Buffer
	p := NewPrinter(&out)
	for _, b := range []byte("größe → 5\xff\n") {
		if n, err := p.Write([]byte{b}); n != 1 || err != nil {
			t.Fatalf("%d bytes, %v", n, err)
		}
	}
	if want := "größe → 5\\xff\n"; out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// TestModes writes the same text for people, as JSON and raw.
func TestModes(t *testing.T) {
	for want, set := range map[string]func(*Printer){
		`"\x1b[31m"`:   func(*Printer) {},
		`"\u001b[31m"`: (*Printer).JSON,
		"\"\x1b[31m\"": (*Printer).Raw,
	} {
		var out bytes.Buffer
		p := NewPrinter(&out)
		set(p)
		fmt.Fprintf(p, "%s", "\"\x1b[31m\"")
		if out.String() != want {
			t.Errorf("got %q, want %q", out.String(), want)
		}
	}
}

type brokenWriter struct{ calls int }

var errBroken = errors.New("broken")

func (w *brokenWriter) Write([]byte) (int, error) { w.calls++; return 0, errBroken }

// TestFirstError keeps the first error and writes nothing after it.
func TestFirstError(t *testing.T) {
	w := new(brokenWriter)
	p := NewPrinter(w)
	for range 3 {
		if _, err := fmt.Fprintln(p, "text"); !errors.Is(err, errBroken) {
			t.Errorf("%v", err)
		}
	}
	if w.calls != 1 || !errors.Is(p.Err(), errBroken) {
		t.Errorf("%d calls, %v", w.calls, p.Err())
	}
}

// TestClosedPipe tells a pipe from a socket.
func TestClosedPipe(t *testing.T) {
	pipe := &os.PathError{Op: "write", Path: "|1", Err: unix.EPIPE}
	socket := &net.OpError{Op: "write", Err: os.NewSyscallError("write", unix.EPIPE)}
	for err, want := range map[error]bool{
		pipe:                          true,
		fmt.Errorf("print: %w", pipe): true,
		errors.Join(pipe, pipe):       true,
		errors.Join(pipe, errBroken):  false,
		socket:                        false,
		errBroken:                     false,
		&os.PathError{Op: "read", Path: "|0", Err: unix.EPIPE}: false,
	} {
		if IsClosedPipe(err) != want {
			t.Errorf("%v: want %v", err, want)
		}
	}
}
