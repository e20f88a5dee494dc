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
	// idleShare bounds what collections take of a CPU: so many times as long as one
	// takes there is none.
	idleShare = 4
	// answerInterval and answerBurst bound how many scrapes are answered; others
	// wait, for no longer than longestWait.
	answerInterval = 50 * time.Millisecond
	answerBurst    = 20
	longestWait    = 10 * time.Second
)

// Handler answers scrapes. Whatever many scrapers do, what is attached is read
// once a second at most, and what that comes to is written once: nothing of it may
// delay the plugin. Scrapes beyond twenty a second wait for their turn.
type Handler struct {
	gatherer prometheus.Gatherer
	turns    turns

	// mine has a token for whoever collects; others wait for that. It guards the
	// page, and until when that is served.
	mine  chan struct{}
	page  *page
	until time.Time
}

// NewHandler returns a handler of a gatherer's metrics.
func NewHandler(gatherer prometheus.Gatherer) *Handler {
	return &Handler{gatherer: Gatherer{gatherer}, turns: newTurns(), mine: make(chan struct{}, 1)}
}

// page is what a collection came to.
type page struct {
	err          error
	text, zipped []byte
	zip          sync.Once
}

// ServeHTTP implements http.Handler. Where nothing can be read it answers 500: it
// must not look like a node without containers.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), longestWait)
	defer cancel()
	if !h.turns.wait(ctx) {
		http.Error(w, "too many scrapes at once", http.StatusServiceUnavailable)
		return
	}
	page := h.current()
	if page.err != nil {
		http.Error(w, "the metrics cannot be had: "+page.err.Error(), http.StatusInternalServerError)
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
	_, _ = w.Write(text) // who has gone away needs no answer
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

// current returns the page that is to be served now.
func (h *Handler) current() *page {
	h.mine <- struct{}{}
	defer func() { <-h.mine }()
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
		writer, _ := gzip.NewWriterLevel(&zipped, gzip.BestSpeed) // the level is good
		_, _ = writer.Write(p.text)                               // memory refuses nothing
		_ = writer.Close()
		p.zipped = zipped.Bytes()
	})
	return p.zipped
}

// turns paces those who come.
type turns struct {
	// next has a token for the one whose turn comes next, and guards free.
	next chan struct{}
	// free is when a turn would come if no burst were allowed.
	free time.Time
}

func newTurns() turns { return turns{next: make(chan struct{}, 1)} }

// wait waits for a turn. Who goes away meanwhile takes none: false.
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
