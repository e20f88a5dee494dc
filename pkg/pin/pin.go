package pin

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrPin is returned when the BPF file system refuses something. The message
// says what.
var ErrPin = errors.New("BPF file system error")

// ErrMap is returned when the kernel refuses a map for a document.
var ErrMap = errors.New("BPF map error")

// Remove unpins what is at a path. A missing pin is no error; a folder, which is
// not ours, stays.
func Remove(path string) error {
	if err := unix.Unlink(path); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, unix.EISDIR) {
		return fmt.Errorf("%w: remove %s: %w", ErrPin, path, err)
	}
	return nil
}
