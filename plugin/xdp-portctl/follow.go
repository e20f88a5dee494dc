package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/cluster"
	"github.com/xdp-port/xdp-port/pkg/install"
)

// configuration is xdp-port's entry as somebody wrote it, or why it cannot be
// had.
type configuration struct {
	entry configFile
	err   error
}

// errNoConfiguration is told where nobody has written any.
var errNoConfiguration = errors.New("the key is missing: write xdp-port's entry there")

// follower tells what the configuration is, and each time that it changes, until
// the context is done.
type follower func(ctx context.Context, tell chan<- configuration)

// followFile watches the file's folder: editors, and the kubelet for volumes, put
// another file in the place of the old one.
func (a *agent) followFile(path string) follower {
	return func(ctx context.Context, tell chan<- configuration) {
		for range a.watch(ctx, filepath.Dir(path)) {
			entry, err := readEntry(ctx, path)
			send(ctx, tell, configuration{entry, err})
		}
	}
}

// watch reports changes in a folder until the context is done.
func (a *agent) watch(ctx context.Context, folder string) <-chan struct{} {
	changes, problem := install.Watch(ctx, folder)
	if problem != nil {
		a.log.Warn("changes are found late", "problem", problem)
	}
	return changes
}

func followConfigMap(client *cluster.Client, namespace, name, key string) follower {
	where := fmt.Sprintf("configmap %s/%s: %s", namespace, name, key)
	return func(ctx context.Context, tell chan<- configuration) {
		client.Follow(ctx, namespace, name, func(m cluster.ConfigMap) {
			text, has := m.Data[key]
			c := configuration{configFile{where, []byte(text)}, m.Err}
			switch {
			case m.Err != nil:
			case !has:
				c.err = fmt.Errorf("%s: %w", where, errNoConfiguration)
			default:
				c.err = c.entry.check()
			}
			send(ctx, tell, c)
		})
	}
}

func send(ctx context.Context, tell chan<- configuration, c configuration) {
	select {
	case tell <- c:
	case <-ctx.Done():
	}
}
