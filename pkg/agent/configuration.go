package agent

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/cluster"
	"github.com/xdp-port/xdp-port/pkg/conflist"
	"github.com/xdp-port/xdp-port/pkg/install"
)

// errNoConfiguration is the error of a ConfigMap without the key.
var errNoConfiguration = errors.New("missing key: write xdp-port's entry there")

// follower sends the configuration and each change of it until the context is done.
type follower func(ctx context.Context, out chan<- configuration)

// source chooses where the configuration is from. It also finds the agent's DaemonSet, which
// is in the namespace of the ConfigMap.
func (a *agent) source() (follower, error) {
	o := a.options
	if o.ConfigMap == "" {
		return a.followFile(o.Config), nil
	}
	namespace, name, _ := strings.Cut(o.ConfigMap, "/")
	client, err := cluster.InCluster(cluster.ServiceAccountFolder)
	if err != nil {
		return nil, err
	}
	if o.DaemonSet != "" {
		a.daemonSet = client.DaemonSet(namespace, o.DaemonSet)
	}
	return followConfigMap(client, namespace, name, o.Key), nil
}

// followFile watches the folder of the file: editors, and the kubelet for volumes, replace a
// file instead of writing into it.
func (a *agent) followFile(path string) follower {
	return func(ctx context.Context, out chan<- configuration) {
		for range a.watch(ctx, filepath.Dir(path)) {
			entry, err := conflist.ReadEntry(ctx, path)
			if err != nil {
				err = fmt.Errorf("--config: %w", err)
			} else {
				err = entry.Check()
			}
			send(ctx, out, configuration{entry, err})
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
	return func(ctx context.Context, out chan<- configuration) {
		client.Follow(ctx, namespace, name, func(m cluster.ConfigMap) {
			text, has := m.Data[key]
			c := configuration{conflist.EntryFile{Path: where, Text: []byte(text)}, m.Err}
			switch {
			case m.Err != nil:
			case !has:
				c.err = fmt.Errorf("%s: %w", where, errNoConfiguration)
			default:
				c.err = c.entry.Check()
			}
			send(ctx, out, c)
		})
	}
}

func send(ctx context.Context, out chan<- configuration, c configuration) {
	select {
	case out <- c:
	case <-ctx.Done():
	}
}
