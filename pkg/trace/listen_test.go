package trace_test

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/trace"
	"github.com/xdp-port/xdp-port/test/pace"
)

func listen(t *testing.T, dir datapath.Dir, options trace.Options) *trace.Listener {
	t.Helper()
	l, err := trace.Listen(string(dir), options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	await(l)
	return l
}

// await has Next wait for as long as an event may take.
func await(l *trace.Listener) { l.SetDeadline(time.Now().Add(pace.Patience(5 * time.Second))) }

func next(t *testing.T, l *trace.Listener) *trace.Event {
	t.Helper()
	await(l)
	event, err := l.Next()
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// wantSilence wants no more events.
func wantSilence(t *testing.T, l *trace.Listener) {
	t.Helper()
	l.SetDeadline(time.Now())
	if event, err := l.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one event too many: %+v, %v", event, err)
	}
	await(l)
}

func ends(from netip.Addr, fromPort uint16, to netip.Addr, toPort uint16) trace.Endpoints {
	return trace.Endpoints{netip.AddrPortFrom(from, fromPort), netip.AddrPortFrom(to, toPort)}
}

// drain reads what there is.
func drain(t *testing.T, l *trace.Listener) (events int) {
	t.Helper()
	for l.SetDeadline(time.Now()); ; events++ {
		_, err := l.Next()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return events
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func ports(source, destination uint16) bpf.Ports {
	return bpf.Ports{Source: source, Destination: destination}
}
