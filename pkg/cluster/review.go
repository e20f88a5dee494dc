package cluster

import (
	"context"
	"errors"
	"time"
)

// ErrNoUser is returned for a token that is nobody's.
var ErrNoUser = errors.New("the token is not valid")

// tokenReview and accessReview are what the API server is asked for both; the
// second is about who the first says it is.
type tokenReview struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Spec       tokenSpec         `json:"spec"`
	Status     tokenReviewStatus `json:"status,omitzero"`
}

type tokenSpec struct {
	Token string `json:"token"`
}

type tokenReviewStatus struct {
	Authenticated bool   `json:"authenticated"`
	User          user   `json:"user"`
	Error         string `json:"error,omitempty"`
}

type user struct {
	Username string              `json:"username"`
	UID      string              `json:"uid"`
	Groups   []string            `json:"groups"`
	Extra    map[string][]string `json:"extra"`
}

type accessReview struct {
	APIVersion string             `json:"apiVersion"`
	Kind       string             `json:"kind"`
	Spec       accessSpec         `json:"spec"`
	Status     accessReviewStatus `json:"status,omitzero"`
}

type accessSpec struct {
	User     string              `json:"user"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
	Resource nonResource         `json:"nonResourceAttributes"`
}

type nonResource struct {
	Path string `json:"path"`
	Verb string `json:"verb"`
}

type accessReviewStatus struct {
	Allowed bool   `json:"allowed"`
	Reason  string `json:"reason,omitempty"`
}

// MayGet tells whether the API server knows whose a bearer token is (TokenReview),
// and lets that user get a path that is no resource, such as /metrics
// (SubjectAccessReview). Returns an error wrapping ErrNoUser if it does not know.
//
// The caller needs what the ClusterRole system:auth-delegator allows.
func (c *Client) MayGet(ctx context.Context, token, path string) (bool, error) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tokens := tokenReview{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview", Spec: tokenSpec{token}}
	if err := c.post(ctx, "/apis/authentication.k8s.io/v1/tokenreviews", &tokens); err != nil {
		return false, err
	}
	if !tokens.Status.Authenticated {
		return false, ErrNoUser
	}
	who := tokens.Status.User
	access := accessReview{
		APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview",
		Spec: accessSpec{who.Username, who.UID, who.Groups, who.Extra, nonResource{path, "get"}},
	}
	if err := c.post(ctx, "/apis/authorization.k8s.io/v1/subjectaccessreviews", &access); err != nil {
		return false, err
	}
	return access.Status.Allowed, nil
}
