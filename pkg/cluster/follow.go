package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"strconv"
	"time"
)

// object is an object of the API with the fields that this package reads.
type object struct {
	Metadata metadata
	Data     map[string]string
}

// event is an observation of an object.
type event struct {
	// object is nil if a list is empty, and with an error.
	object *object
	// isDeleted reports a deletion. The object is its last state.
	isDeleted bool
	err       error
}

// watchTime bounds one watch, so that a connection that dies silently costs no more.
const watchTime = time.Minute

// shortestWatch paces watches that end at once, for example because of a proxy.
const shortestWatch = time.Second

// retryAfter is the pause after an error.
const retryAfter = 2 * time.Second

// follow reports the state of a named object and each change, until the context is
// done. It reports errors, too, and tries again.
func (c *Client) follow(ctx context.Context, path, name string, report func(event)) {
	// With the name, a permission for this object alone suffices.
	only := url.Values{"fieldSelector": {"metadata.name=" + name}}
	for ctx.Err() == nil {
		version, err := c.list(ctx, path, only, report)
		for err == nil && ctx.Err() == nil {
			began := time.Now()
			version, err = c.watch(ctx, path, only, version, report)
			sleep(ctx, shortestWatch-time.Since(began))
		}
		if err == nil || errors.Is(err, errStale) || ctx.Err() != nil {
			continue
		}
		report(event{err: err})
		sleep(ctx, retryAfter)
	}
}

func sleep(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}

// list reports the current state, and returns its version.
func (c *Client) list(ctx context.Context, path string, only url.Values, report func(event)) (string, error) {
	const patience = 20 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := c.get(ctx, path, only)
	if err != nil {
		return "", err
	}
	defer body.Close()
	var list struct {
		Metadata metadata
		Items    []object
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return "", err
	}
	if len(list.Items) == 0 {
		report(event{})
	}
	for i := range list.Items {
		report(event{object: &list.Items[i]})
	}
	return list.Metadata.ResourceVersion, nil
}

// errStale is the error of a version that the server has forgotten.
var errStale = errors.New("version too old")

// watch reports changes since a version until the server ends the watch. It returns
// the last version that it saw.
func (c *Client) watch(
	ctx context.Context, path string, only url.Values, version string, report func(event),
) (string, error) {
	const grace = 10 * time.Second
	ctx, cancel := context.WithTimeout(ctx, watchTime+grace)
	defer cancel()
	query := url.Values{
		"fieldSelector": only["fieldSelector"], "watch": {"true"}, "allowWatchBookmarks": {"true"},
		"resourceVersion": {version}, "timeoutSeconds": {strconv.Itoa(int(watchTime.Seconds()))},
	}
	body, err := c.get(ctx, path, query)
	if err != nil {
		return version, err
	}
	defer body.Close()
	for events := json.NewDecoder(body); ; {
		var e struct {
			Type   string
			Object object
		}
		if err := events.Decode(&e); errors.Is(err, io.EOF) {
			return version, nil
		} else if err != nil {
			return version, err
		}
		switch e.Type {
		case "ADDED", "MODIFIED":
			report(event{object: &e.Object})
		case "DELETED":
			report(event{object: &e.Object, isDeleted: true})
		case "ERROR":
			return "", errStale
		}
		version = e.Object.Metadata.ResourceVersion
	}
}
