package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// DaemonSet distinguishes a deletion of the caller's DaemonSet from an upgrade, an
// eviction or a reboot.
//
// Only a positive answer of the API server counts as a deletion: the object or its
// namespace is being deleted, or an object that existed before does not exist any
// more. A missing permission proves nothing, because a role can change and a token
// can expire on a node that keeps its installation.
type DaemonSet struct {
	client          *Client
	namespace, name string

	mutex sync.Mutex
	uid   string // of the object that was last seen
	seen  bool
	// deleted is closed when the last seen object is being deleted. A new object of
	// the same name replaces the channel.
	deleted chan struct{}
}

// DaemonSet returns the DaemonSet with a name.
func (c *Client) DaemonSet(namespace, name string) *DaemonSet {
	return &DaemonSet{client: c, namespace: namespace, name: name, deleted: make(chan struct{})}
}

// Seen reports whether the DaemonSet has existed. Without that, a deletion looks like
// a wrong name.
func (d *DaemonSet) Seen() bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.seen
}

// Find looks for the DaemonSet and its namespace. The caller needs the permission to
// read both.
func (d *DaemonSet) Find(ctx context.Context) error {
	if _, err := d.client.object(ctx, d.namespacePath()); err != nil {
		return err
	}
	object, err := d.client.object(ctx, d.path())
	if err != nil {
		return err
	}
	d.observe(event{object: object})
	return nil
}

// Follow watches the DaemonSet until the context is done. It sees a deletion even if
// the caller's permissions are deleted at the same time.
func (d *DaemonSet) Follow(ctx context.Context) {
	d.client.follow(ctx, "/apis/apps/v1/namespaces/"+d.namespace+"/daemonsets", d.name, d.observe)
}

func (d *DaemonSet) observe(e event) {
	if e.object == nil { // an empty list or an error proves nothing
		return
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	m := e.object.Metadata
	if d.seen && m.UID != d.uid || !d.seen {
		d.uid, d.seen, d.deleted = m.UID, true, make(chan struct{})
	}
	if e.isDeleted || m.DeletionTimestamp != nil {
		select {
		case <-d.deleted:
		default:
			close(d.deleted)
		}
	}
}

// IsBeingDeleted asks whether the DaemonSet or its namespace is being deleted. If the
// caller may not ask any more, IsBeingDeleted waits until Follow sees a deletion or
// the context is done.
func (d *DaemonSet) IsBeingDeleted(ctx context.Context) (bool, error) {
	object, err := d.client.object(ctx, d.path())
	switch {
	case err == nil && object.Metadata.DeletionTimestamp != nil:
		return true, nil
	case err == nil:
		namespace, problem := d.client.object(ctx, d.namespacePath())
		if problem == nil {
			return namespace.Metadata.DeletionTimestamp != nil, nil
		}
		err = problem
	case d.isGone(err):
		return true, nil
	}
	if !isRefused(err) {
		return false, err
	}
	d.mutex.Lock()
	deleted := d.deleted
	d.mutex.Unlock()
	select {
	case <-deleted:
		return true, nil
	case <-ctx.Done():
		return false, err
	}
}

// isGone reports whether the API server answers that the DaemonSet, which existed
// before, does not exist. The answer must name the DaemonSet: an API server that does
// not serve the API yet, and a proxy without the path, answer 404 as well.
func (d *DaemonSet) isGone(err error) bool {
	var answer *StatusError
	if !errors.As(err, &answer) || answer.Code != http.StatusNotFound {
		return false
	}
	s := answer.status
	return d.Seen() && s.Reason == "NotFound" && s.Details.Kind == "daemonsets" && s.Details.Name == d.name
}

func isRefused(err error) bool {
	var answer *StatusError
	return errors.As(err, &answer) && (answer.Code == http.StatusUnauthorized || answer.Code == http.StatusForbidden)
}

func (d *DaemonSet) path() string {
	return "/apis/apps/v1/namespaces/" + d.namespace + "/daemonsets/" + d.name
}

func (d *DaemonSet) namespacePath() string { return "/api/v1/namespaces/" + d.namespace }

// object reads one object.
func (c *Client) object(ctx context.Context, path string) (*object, error) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := c.get(ctx, path, nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	o := new(object)
	if err := json.NewDecoder(body).Decode(o); err != nil {
		return nil, fmt.Errorf("read the API server's answer: %w", err)
	}
	return o, nil
}
