package node

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// Main runs the tests of a package with a BPF file system of their own. It first
// removes the stale state of killed tests, and fails if the tests leave something
// themselves. A package's TestMain exits with the code that Main returns.
func Main(m *testing.M) (code int) {
	if err := errors.Join(isolate(), Sweep()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	CloseOnSignal()
	found := State()
	code = m.Run()
	if err := errors.Join(found.Unchanged(), Leftovers()); err != nil {
		fmt.Fprintln(os.Stderr, "the tests left something behind:", err)
		return 1
	}
	return code
}
