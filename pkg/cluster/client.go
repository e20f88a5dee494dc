// Package cluster asks a Kubernetes API server three things: the content of a
// ConfigMap, whether a DaemonSet is being deleted, and who may read the metrics.
//
// It does not use client-go, which is large compared with these few requests.
package cluster

import (
	"bytes"
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

// ServiceAccountFolder is where a pod finds its service account.
const ServiceAccountFolder = "/var/run/secrets/kubernetes.io/serviceaccount"

// Client sends requests as the service account of its pod.
type Client struct {
	base   string
	folder string
	http   *http.Client
}

// InCluster returns a client for the caller's pod. The folder holds the service
// account; it is ServiceAccountFolder in every pod.
func InCluster(folder string) (*Client, error) {
	host, port := os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT")
	if host == "" || port == "" {
		return nil, errors.New("not in a Kubernetes pod: KUBERNETES_SERVICE_HOST is not set")
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

// StatusError is an answer of the API server that is no success.
type StatusError struct {
	Code int
	text string
	// status is empty if the answer does not come from an API server.
	status status
}

// Error quotes the server.
func (e *StatusError) Error() string { return "the API server answers " + e.text }

// get requests a path. The caller must close the answer.
func (c *Client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	return c.do(ctx, http.MethodGet, path+"?"+query.Encode(), nil)
}

// post sends a document, and decodes the answer into the same value.
func (c *Client) post(ctx context.Context, path string, document any) error {
	text, err := json.Marshal(document)
	if err != nil {
		return err
	}
	body, err := c.do(ctx, http.MethodPost, path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	defer body.Close()
	return json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(document)
}

// maxAnswer bounds an answer about one object.
const maxAnswer = 8 << 20

func (c *Client) do(ctx context.Context, method, path string, document io.Reader) (io.ReadCloser, error) {
	// The kubelet renews the token, so each request reads it.
	token, err := os.ReadFile(filepath.Join(c.folder, "token"))
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, document)
	if err != nil {
		return nil, err
	}
	request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	request.Header.Set("Accept", "application/json")
	if document != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if answer.StatusCode != http.StatusOK && answer.StatusCode != http.StatusCreated {
		defer answer.Body.Close()
		return nil, refusal(answer)
	}
	return answer.Body, nil
}

// refusal reads the Status in an API server's answer. It names the missing
// permission or the missing object.
func refusal(answer *http.Response) *StatusError {
	const enough = 64 << 10
	e := &StatusError{Code: answer.StatusCode, text: answer.Status}
	text, _ := io.ReadAll(io.LimitReader(answer.Body, enough))
	var status status
	if json.Unmarshal(text, &status) != nil || status.Message == "" {
		return e
	}
	e.text += ": " + status.Message
	e.status = status
	return e
}

// status is the API's object Status.
type status struct {
	Kind, Reason, Message string
	Details               struct{ Kind, Name string }
}

// metadata is the part that all objects have.
type metadata struct {
	UID               string
	ResourceVersion   string
	DeletionTimestamp *time.Time
}
