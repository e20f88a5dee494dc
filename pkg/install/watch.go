package install

import (
	"context"
	"fmt"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// quiet is the time without changes before a report. A file may be written in pieces,
	// and several files one after the other.
	quiet = 300 * time.Millisecond
	// longestQuiet bounds the delay of a report if changes never end.
	longestQuiet = 2 * time.Second
	// pollInterval is the interval of reports if the kernel reports no changes.
	pollInterval = 2 * time.Second
)

// Watch reports changes in a folder until the context is done, and then closes the
// channel.
//
// Changes in quick succession give one report, after the last one or after two seconds.
// A change may be the caller's own, or from before the call. If the kernel has no inotify
// instance left (128 per user by default), Watch reports a possible change every two
// seconds. Then problem says why, and the channel works all the same.
func Watch(ctx context.Context, folder string) (changes <-chan struct{}, problem error) {
	watcher, err := watch(folder)
	reports := make(chan struct{}, 1)
	if err != nil {
		go poll(ctx, reports)
		return reports, fmt.Errorf("watch %s: %w; checking every %s instead", folder, err, pollInterval)
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
	silence := time.NewTimer(quiet)
	var first time.Time // the time of the first unreported change
	changed := func() {
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		silence.Reset(min(quiet, longestQuiet-now.Sub(first)))
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
			if err != nil { // events were dropped
				changed()
			}
		case <-silence.C:
			first = time.Time{}
			offer(reports)
		}
	}
}

// offer sends a report, unless the last one is still unread.
func offer(reports chan<- struct{}) {
	select {
	case reports <- struct{}{}:
	default:
	}
}
