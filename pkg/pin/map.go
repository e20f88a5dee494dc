package pin

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// OpenMap opens a map of the programs that is pinned in dir.
//
// Returns an error wrapping ErrPin, and os.ErrNotExist if there is none.
func OpenMap(dir, name string) (*ebpf.Map, error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(dir, bpf.PinName(name)), nil)
	if err != nil {
		return nil, fmt.Errorf("%w: open the map %s: %w", ErrPin, name, err)
	}
	return m, nil
}

// OpenMapIfExists is OpenMap, but returns nil where there is no such map.
func OpenMapIfExists(dir, name string) (*ebpf.Map, error) {
	m, err := OpenMap(dir, name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return m, err
}

// SameMap reports whether two handles are of one map.
func SameMap(a, b *ebpf.Map) (bool, error) {
	idA, errA := mapID(a)
	idB, errB := mapID(b)
	return idA == idB, errors.Join(errA, errB)
}

func mapID(m *ebpf.Map) (ebpf.MapID, error) {
	info, err := m.Info()
	if err != nil {
		return 0, err
	}
	id, known := info.ID()
	if !known {
		return 0, errors.New("the kernel reports no map IDs")
	}
	return id, nil
}
