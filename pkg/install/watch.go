package install

import (
	"context"
	"time"

	"github.com/fsnotify/fsnotify"
)

// quiet is for how long nothing must have happened before a change is told: a
// file may be written in pieces, and several one after the other.
const quiet = 300 * time.Millisecond

// Watch tells of changes in a folder until the context is done. Changes that
// follow each other closely are told once, when the last one is over.
//
// What is told may be one's own doing. The first to be told may have been before
// the call.
func Watch(ctx context.Context, folder string) (<-chan struct{}, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := watcher.Add(folder); err != nil {
		watcher.Close()
		return nil, err
	}
	changes := make(chan struct{}, 1)
	go func() {
		defer watcher.Close()
		tell(ctx, watcher, changes)
	}()
	return changes, nil
}

func tell(ctx context.Context, watcher *fsnotify.Watcher, changes chan<- struct{}) {
	settled := time.NewTimer(quiet)
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-watcher.Events:
			if !event.Has(fsnotify.Chmod) {
				settled.Reset(quiet)
			}
		case err := <-watcher.Errors:
			if err != nil { // events were lost: let them look
				settled.Reset(quiet)
			}
		case <-settled.C:
			select {
			case changes <- struct{}{}:
			default: // not read yet: one is enough
			}
		}
	}
}
