package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"
)

// ErrGone is told where the ConfigMap is not there.
var ErrGone = errors.New("there is no such ConfigMap")

// ConfigMap is the data of a ConfigMap, or why it cannot be had.
type ConfigMap struct {
	Data map[string]string
	Err  error
}

// configMap is one in the API.
type configMap struct {
	Metadata metadata
	Data     map[string]string
}

// watchTime bounds one watch: a connection that died without a word costs no more
// than that.
const watchTime = time.Minute

// shortestWatch paces watches that end at once, as a proxy in between may have it.
const shortestWatch = time.Second

// retryAfter is how long to wait after an error.
const retryAfter = 2 * time.Second

// Follow tells what a ConfigMap is, and each time that it changes, until the
// context is done. Errors are told and it goes on.
func (c *Client) Follow(ctx context.Context, namespace, name string, tell func(ConfigMap)) {
	path := "/api/v1/namespaces/" + namespace + "/configmaps"
	// With the name the permission to list and watch may be for this one alone.
	only := url.Values{"fieldSelector": {"metadata.name=" + name}}
	for ctx.Err() == nil {
		version, err := c.list(ctx, path, only, tell)
		for err == nil && ctx.Err() == nil {
			began := time.Now()
			version, err = c.watch(ctx, path, only, version, tell)
			sleep(ctx, shortestWatch-time.Since(began))
		}
		if err == nil || errors.Is(err, errStale) || ctx.Err() != nil {
			continue
		}
		tell(ConfigMap{Err: fmt.Errorf("ConfigMap %s/%s: %w", namespace, name, err)})
		sleep(ctx, retryAfter)
	}
}

func sleep(ctx context.Context, duration time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(duration):
	}
}

// list tells how things are, and returns the version that is.
func (c *Client) list(ctx context.Context, path string, only url.Values, tell func(ConfigMap)) (string, error) {
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
		Items    []configMap
	}
	if err := json.NewDecoder(body).Decode(&list); err != nil {
		return "", err
	}
	if len(list.Items) == 0 {
		tell(ConfigMap{Err: ErrGone})
	}
	for _, item := range list.Items {
		tell(ConfigMap{Data: item.Data})
	}
	return list.Metadata.ResourceVersion, nil
}

// errStale is returned when the server remembers a version no more.
var errStale = errors.New("the version is too old")

// watch tells of changes since a version until the server ends it, and returns
// the last version seen.
func (c *Client) watch(
	ctx context.Context, path string, only url.Values, version string, tell func(ConfigMap),
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
		var event struct {
			Type   string
			Object configMap
		}
		if err := events.Decode(&event); errors.Is(err, io.EOF) {
			return version, nil
		} else if err != nil {
			return version, err
		}
		switch event.Type {
		case "ADDED", "MODIFIED":
			tell(ConfigMap{Data: event.Object.Data})
		case "DELETED":
			tell(ConfigMap{Err: ErrGone})
		case "ERROR":
			return "", errStale
		}
		version = event.Object.Metadata.ResourceVersion
	}
}
