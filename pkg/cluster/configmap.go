package cluster

import (
	"context"
	"errors"
	"fmt"
)

// ErrGone is reported where the ConfigMap is not there.
var ErrGone = errors.New("there is no such ConfigMap")

// ConfigMap is the data of a ConfigMap, or why it cannot be had.
type ConfigMap struct {
	Data map[string]string
	Err  error
}

// Follow reports what a ConfigMap is, and each time that it changes, until the
// context is done. Errors are reported and it goes on.
func (c *Client) Follow(ctx context.Context, namespace, name string, report func(ConfigMap)) {
	c.follow(ctx, "/api/v1/namespaces/"+namespace+"/configmaps", name, func(e event) {
		switch {
		case e.err != nil:
			report(ConfigMap{Err: fmt.Errorf("ConfigMap %s/%s: %w", namespace, name, e.err)})
		case e.object == nil, e.isDeleted:
			report(ConfigMap{Err: ErrGone})
		default:
			report(ConfigMap{Data: e.object.Data})
		}
	})
}
