package endpoint

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/xdp-port/xdp-port/pkg/cluster"
)

// Authorize reports whether the user of a bearer token may get a path. It returns an error
// wrapping cluster.ErrNoUser for an invalid token, others if the answer is not known.
type Authorize func(ctx context.Context, token, path string) (bool, error)

const (
	// answerTTL is how long an answer about a token is cached: a scrape every few seconds must
	// cost the API server next to nothing.
	answerTTL = time.Minute
	// mostAnswers and mostReviews limit the memory and the questions to the API server that
	// strangers can cause.
	mostAnswers = 256
	mostReviews = 4
)

// tokens asks about bearer tokens and caches the answers.
type tokens struct {
	authorize Authorize
	reviews   chan struct{}

	mutex sync.Mutex
	cache map[[sha256.Size]byte]answer
}

type answer struct {
	code  int // 200, or the code of the refusal
	until time.Time
}

func newTokens(authorize Authorize) *tokens {
	return &tokens{authorize: authorize, reviews: make(chan struct{}, mostReviews), cache: map[[sha256.Size]byte]answer{}}
}

// check returns 200 for a request that is allowed, or the code of the refusal.
func (t *tokens) check(r *http.Request) int {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if token = strings.TrimSpace(token); !strings.EqualFold(scheme, "Bearer") || token == "" {
		return http.StatusUnauthorized
	}
	key := sha256.Sum256([]byte(r.URL.Path + "\n" + token))
	if code := t.lookUp(key); code != 0 {
		return code
	}
	select {
	case t.reviews <- struct{}{}:
		defer func() { <-t.reviews }()
	case <-r.Context().Done():
		return http.StatusServiceUnavailable
	}
	if code := t.lookUp(key); code != 0 { // another request has asked meanwhile
		return code
	}
	allowed, err := t.authorize(r.Context(), token, r.URL.Path)
	code := http.StatusForbidden
	switch {
	case isNoUser(err):
		code = http.StatusUnauthorized
	case err != nil:
		return http.StatusServiceUnavailable // not cached
	case allowed:
		code = http.StatusOK
	}
	t.insert(key, code)
	return code
}

// lookUp returns the cached code, 0 if there is none.
func (t *tokens) lookUp(key [sha256.Size]byte) (code int) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if a := t.cache[key]; time.Now().Before(a.until) {
		return a.code
	}
	return 0
}

func (t *tokens) insert(key [sha256.Size]byte, code int) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if len(t.cache) >= mostAnswers {
		clear(t.cache)
	}
	t.cache[key] = answer{code, time.Now().Add(answerTTL)}
}

func isNoUser(err error) bool { return errors.Is(err, cluster.ErrNoUser) }
