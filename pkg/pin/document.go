package pin

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ErrUnreadable is returned for a document that is there, but of another kind.
var ErrUnreadable = errors.New("is not what this build writes")

// WriteDocument writes a value as JSON into a map of one element and pins that,
// since bpffs has no files; a document that is there already is replaced at
// once, whole.
func WriteDocument(dir, name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	m, err := newElement("xdp_port_"+name, len(text))
	if err != nil {
		return fmt.Errorf("%w: make the map for %s: %w", ErrMap, name, err)
	}
	defer m.Close()
	if err := m.Put(uint32(0), text); err != nil {
		return fmt.Errorf("%w: fill the map for %s: %w", ErrMap, name, err)
	}
	fresh, path := filepath.Join(dir, name+"_new"), filepath.Join(dir, name)
	err = m.Pin(fresh)
	if errors.Is(err, os.ErrExist) { // of a process that was killed right here
		err = errors.Join(Remove(fresh), m.Pin(fresh))
	}
	if err != nil {
		return fmt.Errorf("%w to pin %s: %w", ErrPin, path, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return errors.Join(fmt.Errorf("%w to pin %s: %w", ErrPin, path, err), Remove(fresh))
	}
	return nil
}

// ReadDocument reads what WriteDocument wrote. Returns an error wrapping
// os.ErrNotExist if there is none.
func ReadDocument(dir, name string, value any) error {
	path := filepath.Join(dir, name)
	m, err := ebpf.LoadPinnedMap(path, &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil && isAnotherKind(path, err) {
		return fmt.Errorf("%s %w: %w", path, ErrUnreadable, err)
	}
	if err != nil {
		return fmt.Errorf("%w to open %s: %w", ErrPin, path, err)
	}
	defer m.Close()
	if m.Type() != ebpf.Array || m.MaxEntries() != 1 {
		return fmt.Errorf("%s %w: it is %s", path, ErrUnreadable, m)
	}
	var text []byte
	if err := m.Lookup(uint32(0), &text); err != nil {
		return fmt.Errorf("%w to read %s: %w", ErrPin, path, err)
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("%s %w: %w", path, ErrUnreadable, err)
	}
	return nil
}

// isAnotherKind tells whether what is at a path is no map: a link, which cannot be
// opened for reading alone, a program, which the library knows when it has opened
// it, or a folder.
func isAnotherKind(path string, err error) bool {
	info, failed := os.Lstat(path)
	var errno unix.Errno
	return failed == nil && (info.IsDir() || errors.Is(err, unix.EINVAL) || !errors.As(err, &errno))
}
