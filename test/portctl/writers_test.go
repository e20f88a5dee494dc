package portctl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"

	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/test/node"
)

// isNightly makes tests take longer to find more.
var isNightly = os.Getenv("XDP_PORT_NIGHTLY") != ""

// folderOf returns the folder of a container's pinned links.
func folderOf(t *testing.T, c *node.Container) string {
	t.Helper()
	listed, err := state.Snapshot()
	must(t, err)
	for _, l := range listed {
		if l.Key.Container == c.ID() {
			return string(l.Folder)
		}
	}
	t.Fatalf("%s is not attached", c.ID())
	return ""
}

// detachLink detaches a container's XDP program, like bpftool link detach.
func detachLink(t *testing.T, c *node.Container) {
	t.Helper()
	l, err := link.LoadPinnedLink(filepath.Join(folderOf(t, c), "xdp"), nil)
	must(t, err)
	defer l.Close()
	must(t, l.Detach())
}

// eventuallyHeals waits until all programs of a container are attached, and expects the log to
// report that with the reason.
func (a *agent) eventuallyHeals(c *node.Container) {
	a.Helper()
	eventually(a.T, func() string {
		if out := portctl(a.T, a.Node, "show", c.ID()); out.code != 0 {
			return out.stdout + out.stderr + a.log.String()
		}
		return ""
	})
	eventually(a.T, func() string { // the log arrives through a pipe
		text := a.log.String()
		if !strings.Contains(text, "a container was damaged: it was repaired") || strings.Contains(text, `problems=""`) ||
			strings.Contains(text, `difference=""`) {
			return "the log does not say what was wrong:\n" + text
		}
		return ""
	})
}

// writes is how often the agent has written the conflist.
func (a *agent) writes() (count int) {
	a.Helper()
	_, text := fetch(a.T, a.Node, a.url+"/metrics")
	_, text, _ = strings.Cut(text, "\nxdp_port_agent_conflist_writes_total ")
	_, err := fmt.Sscan(text, &count)
	must(a.T, err)
	return count
}

// TestAgentWriters has two installers that read and write the conflist forever, in the formats of
// jq and of a Go program. They change nothing in it, so the agent must write nothing either, and
// must keep working.
func TestAgentWriters(t *testing.T) {
	length := 5 * time.Second
	if isNightly {
		length = 150 * time.Second
	}
	o := newTarget(t)
	o.configure(to7998)
	o.writeNetwork()
	a := startAgent(o)
	a.eventuallySays("/readyz", http.StatusOK, "ready")
	c := attach(t, o.Node)
	before := a.writes()
	stop := o.writeAlways(450*time.Millisecond,
		func(text []byte) ([]byte, error) {
			var b bytes.Buffer
			err := json.Indent(&b, text, "", "  ")
			return append(bytes.TrimRight(b.Bytes(), "\n"), '\n'), err
		},
		func(text []byte) ([]byte, error) {
			var value any
			if err := json.Unmarshal(text, &value); err != nil {
				return nil, err
			}
			return json.Marshal(value)
		})
	detachLink(t, c)
	answers := 0
	for end := time.Now().Add(length); time.Now().Before(end); answers++ {
		if code, text := fetch(t, a.Node, a.url+"/readyz"); code != http.StatusOK {
			t.Errorf("it is not ready: %s", text)
		}
		time.Sleep(100 * time.Millisecond)
	}
	a.eventuallyHeals(c)
	rewritten := stop()
	if written := a.writes() - before; written > 2 || rewritten < 5 {
		t.Errorf("they wrote %d times, and the agent %d, more than once for each", rewritten, written)
	}
	t.Logf("they wrote %d times in %s; it was ready each of %d times", rewritten, length, answers)
	a.eventuallyHas(`"xdp-port"`, "7998")
	must(t, c.Detach("lab"))
}

// writeAlways lets each writer read the conflist and write it in pieces, one after the other. The
// returned function stops them and returns how often they wrote.
func (o target) writeAlways(every time.Duration, writers ...func([]byte) ([]byte, error)) (stop func() int) {
	done := make(chan struct{})
	var working sync.WaitGroup
	count := 0
	working.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			case <-time.After(every):
			}
			text, err := os.ReadFile(o.conflist)
			if err == nil {
				text, err = writers[i%len(writers)](text)
			}
			if err == nil {
				err = os.WriteFile(o.conflist, text, 0o640) // truncates, then writes
			}
			if err != nil {
				o.Error(err)
			}
			count++
		}
	})
	o.Cleanup(func() {
		select {
		case <-done:
		default:
			close(done)
		}
		working.Wait()
	})
	return func() int {
		close(done)
		working.Wait()
		return count
	}
}
