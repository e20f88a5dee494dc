package pin

import (
	"fmt"

	"github.com/cilium/ebpf/link"
)

// OpenLink opens the link that is pinned at a path.
//
// Returns an error wrapping ErrPin, and os.ErrNotExist if there is none.
func OpenLink(path string) (link.Link, error) {
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: open the link %s: %w", ErrPin, path, err)
	}
	return l, nil
}

// LinkInfo reads what the kernel says of the link that is pinned at a path.
//
// Returns an error wrapping ErrPin, and os.ErrNotExist if there is none.
func LinkInfo(path string) (*link.Info, error) {
	l, err := OpenLink(path)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	info, err := l.Info()
	if err != nil {
		return nil, fmt.Errorf("%w: read the link %s: %w", ErrPin, path, err)
	}
	return info, nil
}

// LinkIndex returns the index of the device that a link is on, 0 if it is on
// none any more.
func LinkIndex(info *link.Info) int {
	if xdp := info.XDP(); xdp != nil {
		return int(xdp.Ifindex)
	}
	if tcx := info.TCX(); tcx != nil {
		return int(tcx.Ifindex)
	}
	return 0
}

// KeepLink pins a link at a path and closes the handle.
func KeepLink(l link.Link, path string) error {
	defer l.Close()
	if err := l.Pin(path); err != nil {
		return fmt.Errorf("%w: pin the link %s: %w", ErrPin, path, err)
	}
	return nil
}
