package metrics

import (
	"bytes"
	"compress/gzip"
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
)

const (
	// fresh is how long a collection is served.
	fresh = time.Second
	// idleShare limits the CPU time of collections: after each one the handler waits this many
	// times as long as it took.
	idleShare = 4
	// answerInterval and answerBurst limit the rate of answers. Other scrapes wait, at most
	// for longestWait.
	answerInterval = 50 * time.Millisecond
	answerBurst    = 20
	longestWait    = 10 * time.Second
)

// Handler answers scrapes. However many there are, it reads the attachments at most once per
// second and formats them once, so that scrapes do not delay the plugin. It answers 20 scrapes
// per second; others wait for their turn.
type Handler struct {
	gatherer prometheus.Gatherer
	turns    turns

	// collecting is a lock for page and until. It is held during a collection.
	collecting chan struct{}
	page       *page
	until      time.Time
}

// NewHandler returns a handler of a gatherer's metrics.
func NewHandler(gatherer prometheus.Gatherer) *Handler {
	return &Handler{gatherer: Gatherer{gatherer}, turns: newTurns(), collecting: make(chan struct{}, 1)}
}

// page is the result of a collection.
type page struct {
	err          error
	text, zipped []byte
	zip          sync.Once
}

// ServeHTTP implements http.Handler. If the attachments cannot be read it answers 500, so that
// the node does not look as if it had no containers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), longestWait)
	defer cancel()
	if !h.turns.wait(ctx) {
		http.Error(w, "too many scrapes at once", http.StatusServiceUnavailable)
		return
	}
	page := h.current()
	if page.err != nil {
		http.Error(w, "the metrics cannot be collected: "+page.err.Error(), http.StatusInternalServerError)
		return
	}
	header, text := w.Header(), page.text
	header.Set("Content-Type", string(expfmt.NewFormat(expfmt.TypeTextPlain)))
	header.Set("Vary", "Accept-Encoding")
	if acceptsGzip(r) {
		header.Set("Content-Encoding", "gzip")
		text = page.compressed()
	}
	header.Set("Content-Length", strconv.Itoa(len(text)))
	_, _ = w.Write(text) // a client that has gone needs no answer
}

func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(part, " ", ""), ";q=")
		if name == "gzip" {
			weight, err := strconv.ParseFloat(weight, 64)
			return err != nil || weight > 0
		}
	}
	return false
}

// current returns the current page. It collects if the last one is too old.
func (h *Handler) current() *page {
	h.collecting <- struct{}{}
	defer func() { <-h.collecting }()
	began := time.Now()
	if h.page != nil && began.Before(h.until) {
		return h.page
	}
	h.page = h.collect()
	ended := time.Now()
	h.until = ended.Add(max(fresh, idleShare*ended.Sub(began)))
	return h.page
}

func (h *Handler) collect() *page {
	families, err := h.gatherer.Gather()
	if err != nil {
		return &page{err: err}
	}
	var text bytes.Buffer
	for _, family := range families {
		if _, err := expfmt.MetricFamilyToText(&text, family); err != nil {
			return &page{err: err}
		}
	}
	return &page{text: text.Bytes()}
}

func (p *page) compressed() []byte {
	p.zip.Do(func() {
		var zipped bytes.Buffer
		writer, _ := gzip.NewWriterLevel(&zipped, gzip.BestSpeed) // fails only for an invalid level
		_, _ = writer.Write(p.text)                               // a buffer does not fail
		_ = writer.Close()
		p.zipped = zipped.Bytes()
	})
	return p.zipped
}

// turns limits the rate of requests.
type turns struct {
	// next is a lock for free. The request whose turn is next holds it.
	next chan struct{}
	// free is the time of the next turn if bursts were not allowed.
	free time.Time
}

func newTurns() turns { return turns{next: make(chan struct{}, 1)} }

// wait waits for a turn. It returns false, without taking one, if the context is done before.
func (t *turns) wait(ctx context.Context) bool {
	select {
	case t.next <- struct{}{}:
		defer func() { <-t.next }()
	case <-ctx.Done():
		return false
	}
	now := time.Now()
	if earliest := now.Add(-answerBurst * answerInterval); t.free.Before(earliest) {
		t.free = earliest
	}
	turn := t.free.Add(answerInterval)
	select {
	case <-time.After(turn.Sub(now)):
	case <-ctx.Done():
		return false
	}
	t.free = turn
	return true
}
