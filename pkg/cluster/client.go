// Package cluster asks a Kubernetes API server for the little that xdp-port
// wants to know: one ConfigMap, and whether its DaemonSet is to stay.
//
// It does without client-go, which is a great deal of program for two GETs and a
// watch.
package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// ServiceAccountFolder is where a pod finds what its service account is.
const ServiceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// Client asks as the service account of the pod that it runs in.
type Client struct {
	base   string
	folder string
	http   *http.Client
}

// InCluster returns a client for the pod that the caller runs in, whose service
// account is in folder, mostly ServiceAccountFolder.
func InCluster(folder string) (*Client, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("this runs in no pod of Kubernetes: KUBERNETES_SERVICE_HOST is not set")
	}
	authority, err := os.ReadFile(filepath.Join(folder, "ca.crt"))
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(authority) {
		return nil, fmt.Errorf("%s/ca.crt has no certificate", folder)
	}
	return &Client{
		base: "https://" + net.JoinHostPort(host, port), folder: folder,
		http: &http.Client{Transport: &http.Transport{
			TLSClientConfig:       &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
			DialContext:           (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout:   5 * time.Second,
			ResponseHeaderTimeout: 10 * time.Second,
		}},
	}, nil
}

// StatusError is an answer of the API server other than 200.
type StatusError struct {
	Code int
	text string
}

// Error has what the server said.
func (e *StatusError) Error() string { return "the API server answers " + e.text }

// get asks for a path. The caller must close the answer.
func (c *Client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	// It is read each time: the kubelet renews it.
	token, err := os.ReadFile(filepath.Join(c.folder, "token"))
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK {
		defer answer.Body.Close()
		return nil, &StatusError{answer.StatusCode, describe(answer)}
	}
	return answer.Body, nil
}

// describe reads the message of a Status, which names who may not do what.
func describe(answer *http.Response) string {
	const enough = 64 << 10
	var status struct{ Message string }
	text, _ := io.ReadAll(io.LimitReader(answer.Body, enough))
	if json.Unmarshal(text, &status) != nil || status.Message == "" {
		return answer.Status
	}
	return answer.Status + ": " + status.Message
}

// metadata is what all objects have.
type metadata struct {
	ResourceVersion   string
	DeletionTimestamp *time.Time
}

// IsGoing tells whether a DaemonSet is gone or being deleted, by itself or with
// its namespace. That the caller may not know any more counts as gone: its
// permissions go in the same breath where a whole manifest is deleted. So it is
// for those alone who were allowed to before.
func (c *Client) IsGoing(ctx context.Context, namespace, daemonSet string) (bool, error) {
	going, err := c.isDeleted(ctx, "/apis/apps/v1/namespaces/"+namespace+"/daemonsets/"+daemonSet)
	var status *StatusError
	if errors.As(err, &status) {
		switch status.Code {
		case http.StatusNotFound, http.StatusForbidden, http.StatusUnauthorized:
			return true, nil
		}
	}
	if going || err != nil {
		return going, err
	}
	return c.isDeleted(ctx, "/api/v1/namespaces/"+namespace)
}

// isDeleted tells whether an object that is there is being deleted.
func (c *Client) isDeleted(ctx context.Context, path string) (bool, error) {
	body, err := c.get(ctx, path, nil)
	if err != nil {
		return false, err
	}
	defer body.Close()
	var object struct{ Metadata metadata }
	if err := json.NewDecoder(body).Decode(&object); err != nil {
		return false, err
	}
	return object.Metadata.DeletionTimestamp != nil, nil
}
