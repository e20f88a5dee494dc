package node

import (
	"errors"
	"fmt"
	"os"
	"testing"
)

// Main runs the tests of a package, on a machine that it removes the remains of
// killed tests from, and fails if they leave something behind. Preparations,
// such as Alone, come before all else. A package's TestMain exits with the code
// that Main returns.
func Main(m *testing.M, preparations ...func() error) (code int) {
	for _, prepare := range append(preparations, Sweep) {
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
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
