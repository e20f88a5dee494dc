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

// schemaVersion is the version of the documents that this build writes.
//
// 1 (not written in them): enumerations are numbers, keys begin with a capital letter.
// 2: enumerations are words.
const schemaVersion = 2

// ErrUnreadable is returned for a pin that is no document of xdp-port.
var ErrUnreadable = errors.New("unreadable document")

// ErrNewer is returned for a document of a newer schema version.
var ErrNewer = errors.New("written by a newer version of xdp-port")

// WriteDocument writes a JSON object into a map of one element and pins that in dir,
// since bpffs has no files. A document that is there already is replaced at once.
//
// Returns an error wrapping ErrMap or ErrPin.
func WriteDocument(dir, name string, value any) error {
	text, err := encode(value)
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
		return fmt.Errorf("%w: pin %s: %w", ErrPin, path, err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return errors.Join(fmt.Errorf("%w: pin %s: %w", ErrPin, path, err), Remove(fresh))
	}
	return nil
}

// encode puts the schema version in front of an object's members.
func encode(value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	return append(fmt.Appendf(nil, `{"schemaVersion":%d,`, schemaVersion), text[1:]...), nil
}

// ReadDocument reads what WriteDocument of this build, or of one before, wrote.
//
// Returns an error wrapping os.ErrNotExist if there is none. With an error wrapping
// ErrNewer the value has what this build knows of a document of a newer version.
func ReadDocument(dir, name string, value any) error {
	path := filepath.Join(dir, name)
	m, err := ebpf.LoadPinnedMap(path, &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil && isAnotherKind(path, err) {
		return fmt.Errorf("%w: %s: %w", ErrUnreadable, path, err)
	}
	if err != nil {
		return fmt.Errorf("%w: open %s: %w", ErrPin, path, err)
	}
	defer m.Close()
	if m.Type() != ebpf.Array || m.MaxEntries() != 1 {
		return fmt.Errorf("%w: %s is %s", ErrUnreadable, path, m)
	}
	var text []byte
	if err := m.Lookup(uint32(0), &text); err != nil {
		return fmt.Errorf("%w: read %s: %w", ErrPin, path, err)
	}
	if err := decode(text, value); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

func decode(text []byte, value any) error {
	var schema struct {
		Version int `json:"schemaVersion"`
	}
	err := json.Unmarshal(text, &schema)
	if err == nil {
		err = json.Unmarshal(text, value) // goes on behind a value of another type
	}
	switch {
	case schema.Version > schemaVersion:
		return fmt.Errorf("%w: it has schema version %d, this one knows %d", ErrNewer, schema.Version, schemaVersion)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return nil
}

// isAnotherKind reports whether what is at a path is no map: a link, which cannot be
// opened for reading alone, a program, which the library knows when it has opened
// it, or a folder.
func isAnotherKind(path string, err error) bool {
	info, failed := os.Lstat(path)
	var errno unix.Errno
	return failed == nil && (info.IsDir() || errors.Is(err, unix.EINVAL) || !errors.As(err, &errno))
}
