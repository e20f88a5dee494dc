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

// DaemonSet is the one that the caller is a pod of, asked about to tell a deletion
// from an upgrade, an eviction or a reboot. Only what the API server says for sure
// counts as a deletion: that the object, or its namespace, is being deleted, or
// that an object which was there before is there no more. That the caller may not
// ask any more says nothing: a role may be changed, or a token expire, on nodes
// that are to stay as they are.
type DaemonSet struct {
	client          *Client
	namespace, name string

	mutex sync.Mutex
	uid   string // of the object that was seen last
	seen  bool
	// deleted is closed once the object that was seen is being deleted; another one
	// of the same name makes it anew.
	deleted chan struct{}
}

// DaemonSet returns the DaemonSet of a name.
func (c *Client) DaemonSet(namespace, name string) *DaemonSet {
	return &DaemonSet{client: c, namespace: namespace, name: name, deleted: make(chan struct{})}
}

// Seen tells whether the DaemonSet was there: before, no deletion can be told from
// a wrong name.
func (d *DaemonSet) Seen() bool {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	return d.seen
}

// Find looks for the DaemonSet and its namespace, both of which the caller must be
// allowed to read.
func (d *DaemonSet) Find(ctx context.Context) error {
	if _, err := d.client.object(ctx, d.namespacePath()); err != nil {
		return err
	}
	object, err := d.client.object(ctx, d.path())
	if err != nil {
		return err
	}
	d.note(event{object: object})
	return nil
}

// Follow watches the DaemonSet until the context is done. So a deletion is known
// also where the caller's permissions are deleted in the same breath.
func (d *DaemonSet) Follow(ctx context.Context) {
	d.client.follow(ctx, "/apis/apps/v1/namespaces/"+d.namespace+"/daemonsets", d.name, d.note)
}

func (d *DaemonSet) note(e event) {
	if e.object == nil { // an empty list, or an error, says nothing for sure
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

// IsBeingDeleted asks whether the DaemonSet is being deleted, by itself or with its
// namespace. Where the caller may not ask any more it counts what Follow learns
// until the context is done.
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

// isGone tells whether the API server says that there is no such DaemonSet, of one
// that was there. It says so of what it does not serve yet, and proxies in between
// do of what they do not know; but then not by this name.
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
