package endpoint

import (
	"context"
	"crypto/sha256"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Authorize tells whether whoever has a bearer token may get a path. An error says
// why that is not known, or that the token is nobody's.
type Authorize func(ctx context.Context, token, path string) (bool, error)

const (
	// remembered is how long an answer about a token counts: a scrape every few
	// seconds is to cost the API server next to nothing.
	remembered = time.Minute
	// mostRemembered and mostReviews bound what strangers can have us keep and ask.
	mostRemembered = 256
	mostReviews    = 4
)

// tokens asks about bearer tokens, and remembers the answers for a while.
type tokens struct {
	authorize Authorize
	reviews   chan struct{}

	mutex sync.Mutex
	known map[[sha256.Size]byte]verdict
}

type verdict struct {
	code  int // 200, or what to answer
	until time.Time
}

func newTokens(authorize Authorize) *tokens {
	return &tokens{authorize: authorize, reviews: make(chan struct{}, mostReviews), known: map[[sha256.Size]byte]verdict{}}
}

// check returns 200 for a request that may be answered, or the code to refuse it
// by.
func (t *tokens) check(r *http.Request) int {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return http.StatusUnauthorized
	}
	key := sha256.Sum256([]byte(r.URL.Path + "\n" + token))
	if code := t.recall(key); code != 0 {
		return code
	}
	select {
	case t.reviews <- struct{}{}:
		defer func() { <-t.reviews }()
	case <-r.Context().Done():
		return http.StatusServiceUnavailable
	}
	if code := t.recall(key); code != 0 { // another request has asked meanwhile
		return code
	}
	allowed, err := t.authorize(r.Context(), token, r.URL.Path)
	code := http.StatusForbidden
	switch {
	case isNoUser(err):
		code = http.StatusUnauthorized
	case err != nil:
		return http.StatusServiceUnavailable // not known, and so not remembered
	case allowed:
		code = http.StatusOK
	}
	t.remember(key, code)
	return code
}

func (t *tokens) recall(key [sha256.Size]byte) (code int) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if v := t.known[key]; time.Now().Before(v.until) {
		return v.code
	}
	return 0
}

func (t *tokens) remember(key [sha256.Size]byte, code int) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if len(t.known) >= mostRemembered {
		clear(t.known) // they are asked about again
	}
	t.known[key] = verdict{code, time.Now().Add(remembered)}
}
