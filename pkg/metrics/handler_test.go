package metrics

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// newHandler returns a handler and a counter of readings. Each reading takes this long.
func newHandler(takes time.Duration, err error) (*Handler, *atomic.Int32) {
	count := new(atomic.Int32)
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewCollector(func() ([]inspect.Attachment, error) {
		count.Add(1)
		time.Sleep(takes)
		return []inspect.Attachment{{Network: "lab", Container: "c", Interface: "eth0"}}, err
	}, Limits{Attachments: 1}))
	count.Store(0) // registering reads too
	return NewHandler(registry), count
}

func scrape(h http.Handler, header ...string) *httptest.ResponseRecorder {
	request := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	if len(header) > 0 {
		request.Header.Set(header[0], header[1])
	}
	recorder := httptest.NewRecorder()
	h.ServeHTTP(recorder, request)
	return recorder
}

// TestScrapersShare has twenty scrapers in a loop for a minute.
func TestScrapersShare(t *testing.T) {
	for _, test := range []struct{ takes, most time.Duration }{
		{10 * time.Millisecond, time.Second},
		{time.Second, 5 * time.Second}, // a fifth of a CPU, however long a collection takes
	} {
		synctest.Test(t, func(t *testing.T) {
			h, count := newHandler(test.takes, nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var scrapers sync.WaitGroup
			var answers atomic.Int32
			for range 20 {
				scrapers.Go(func() {
					for ctx.Err() == nil {
						if recorder := scrape(h); recorder.Code != http.StatusOK {
							t.Errorf("%d: %s", recorder.Code, recorder.Body)
						}
						answers.Add(1)
					}
				})
			}
			scrapers.Wait()
			if got, most := time.Duration(count.Load()), time.Minute/test.most+1; got > most {
				t.Errorf("it was read %d times in a minute, want at most %d", got, most)
			}
			if got, most := answers.Load(), int32(time.Minute/answerInterval+2*answerBurst); got > most || got < most/2 {
				t.Errorf("%d answers in a minute, want about %d", got, most)
			}
		})
	}
}

// TestTooManyScrapers refuses those that would wait for too long.
func TestTooManyScrapers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newHandler(0, nil)
		var refused atomic.Int32
		var scrapers sync.WaitGroup
		const crowd = 1000
		for range crowd {
			scrapers.Go(func() {
				if scrape(h).Code == http.StatusServiceUnavailable {
					refused.Add(1)
				}
			})
		}
		scrapers.Wait()
		if got, want := crowd-int(refused.Load()), answerBurst+int(longestWait/answerInterval); got > want+1 || got < want-1 {
			t.Errorf("%d were answered, want %d", got, want)
		}
		time.Sleep(time.Minute)
		if code := scrape(h).Code; code != http.StatusOK {
			t.Errorf("later: %d", code)
		}
	})
}

// TestScrapersGoAway has many clients that do not wait for an answer: they take no turns.
func TestScrapersGoAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, _ := newHandler(0, nil)
		gone, cancel := context.WithCancel(t.Context())
		var scrapers sync.WaitGroup
		for range 1000 {
			scrapers.Go(func() {
				request := httptest.NewRequestWithContext(gone, http.MethodGet, "/metrics", nil)
				h.ServeHTTP(httptest.NewRecorder(), request)
			})
		}
		time.Sleep(answerInterval / 2)
		cancel()
		scrapers.Wait()
		began := time.Now()
		if code := scrape(h).Code; code != http.StatusOK {
			t.Errorf("%d", code)
		}
		if waited := time.Since(began); waited > answerInterval {
			t.Errorf("it waited for %s", waited)
		}
	})
}

func TestHandler(t *testing.T) {
	const want = `xdp_port_attachment_healthy{container="c",interface="eth0",network="lab"} 0`
	h, _ := newHandler(0, nil)
	plain := scrape(h)
	if !strings.Contains(plain.Body.String(), want) || !strings.HasPrefix(plain.Header().Get("Content-Type"), "text/plain; version=0.0.4") {
		t.Errorf("%v\n%s", plain.Header(), plain.Body)
	}
	zipped := scrape(h, "Accept-Encoding", "deflate, gzip;q=0.5")
	reader, err := gzip.NewReader(zipped.Body)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := io.ReadAll(reader); err != nil || string(text) != plain.Body.String() {
		t.Errorf("zipped: %s (%v)", text, err)
	}
	if refused := scrape(h, "Accept-Encoding", "gzip;q=0"); refused.Header().Get("Content-Encoding") != "" {
		t.Errorf("%v", refused.Header())
	}

	h, _ = newHandler(0, errors.New("no state"))
	if failed := scrape(h); failed.Code != http.StatusInternalServerError || !strings.Contains(failed.Body.String(), "no state") {
		t.Errorf("%d: %s", failed.Code, failed.Body)
	}
}
