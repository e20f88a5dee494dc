package cluster

import (
	"context"
	"errors"
	"fmt"
)

// ErrGone is the error of a ConfigMap that does not exist.
var ErrGone = errors.New("no such ConfigMap")

// ConfigMap is the data of a ConfigMap, or the error of reading it.
type ConfigMap struct {
	Data map[string]string
	Err  error
}

// Follow reports the content of a ConfigMap and each change, until the context is
// done. It reports errors, too, and tries again.
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
