package cluster

import (
	"context"
	"errors"
	"time"
)

// ErrNoUser is the error of a token that belongs to no user.
var ErrNoUser = errors.New("invalid token")

// tokenReview asks the API server for the user of a token. accessReview asks what
// that user may do.
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

// MayGet reports whether the user of a bearer token may get a non-resource path, such
// as /metrics. It returns ErrNoUser if the token belongs to no user.
//
// MayGet sends a TokenReview and a SubjectAccessReview. The caller needs the
// permissions of the ClusterRole system:auth-delegator.
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
