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

// object is one in the API, with what of it counts here.
type object struct {
	Metadata metadata
	Data     map[string]string
}

// event is what was learned of an object.
type event struct {
	// object is nil where a list has none, and with an error.
	object *object
	// isDeleted tells that it was deleted right now: what it was then is in object.
	isDeleted bool
	err       error
}

// watchTime bounds one watch: a connection that died without a word costs no more
// than that.
const watchTime = time.Minute

// shortestWatch paces watches that end at once, as a proxy in between may have it.
const shortestWatch = time.Second

// retryAfter is how long to wait after an error.
const retryAfter = 2 * time.Second

// follow reports what an object of a name is, and each time that it changes, until
// the context is done. Errors are reported and it goes on.
func (c *Client) follow(ctx context.Context, path, name string, report func(event)) {
	// With the name the permission to list and watch may be for this one alone.
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

// list reports how things are, and returns the version that is.
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

// errStale is returned when the server remembers a version no more.
var errStale = errors.New("the version is too old")

// watch reports changes since a version until the server ends it, and returns
// the last version seen.
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
