package install

import (
	"context"

	"github.com/xdp-port/xdp-port/pkg/confedit"
)

// AddWhenThere waits for a network to which the entry can be added, and is Add then.
func (n Networks) AddWhenThere(ctx context.Context, entry []byte, check func(path string, network confedit.Inlined) error) (path string, changed bool, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	changes, _ := Watch(ctx, n.Folder) // polls if inotify is not available
	for {
		select {
		case <-ctx.Done():
			return "", false, ctx.Err()
		case <-changes:
		}
		if path, changed, err = n.Add(entry, check); err == nil {
			return path, changed, nil
		}
	}
}
