package install

import (
	"context"
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is for how long nothing must have happened before a change is reported:
	// a file may be written in pieces, and several one after the other.
	quiet = 300 * time.Millisecond
	// longestQuiet bounds that where somebody writes without end.
	longestQuiet = 2 * time.Second
	// pollInterval is how often changes are taken for possible where the kernel
	// reports none.
	pollInterval = 2 * time.Second
)

// Watch reports changes in a folder until the context is done, and then closes the
// channel. Changes that
// follow each other closely are reported once, when the last one is over, or after
// two seconds.
//
// What is reported may be one's own doing. The first report may be of a change
// before the call. Where the kernel has no inotify instance left, of which there
// are 128 a user by default, a change is reported as possible every two seconds:
// problem says why, and the channel is good all the same.
func Watch(ctx context.Context, folder string) (changes <-chan struct{}, problem error) {
	watcher, err := watch(folder)
	reports := make(chan struct{}, 1)
	if err != nil {
		go poll(ctx, reports)
		return reports, fmt.Errorf("watch %s: %w; looking every %s", folder, err, pollInterval)
	}
	go func() {
		defer close(reports)
		defer watcher.Close()
		report(ctx, watcher, reports)
	}()
	return reports, nil
}

func watch(folder string) (*fsnotify.Watcher, error) {
	watcher, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	if err := watcher.Add(folder); err != nil {
		watcher.Close()
		return nil, err
	}
	return watcher, nil
}

func poll(ctx context.Context, reports chan<- struct{}) {
	defer close(reports)
	ticks := time.NewTicker(pollInterval)
	defer ticks.Stop()
	for {
		offer(reports)
		select {
		case <-ctx.Done():
			return
		case <-ticks.C:
		}
	}
}

func report(ctx context.Context, watcher *fsnotify.Watcher, reports chan<- struct{}) {
	settled := time.NewTimer(quiet)
	var first time.Time // of the changes that are not reported yet
	changed := func() {
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		settled.Reset(min(quiet, longestQuiet-now.Sub(first)))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case event := <-watcher.Events:
			if !event.Has(fsnotify.Chmod) {
				changed()
			}
		case err := <-watcher.Errors:
			if err != nil { // events were lost: let them look
				changed()
			}
		case <-settled.C:
			first = time.Time{}
			offer(reports)
		}
	}
}

// offer reports once to whoever has not read the last report yet.
func offer(reports chan<- struct{}) {
	select {
	case reports <- struct{}{}:
	default:
	}
}
