package portctl

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/test/node"
)

// TestWatchInAPipe expects a report for each interval, with the rates of that interval.
func TestWatchInAPipe(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	stop := sendAlways(t, []*node.Container{c})
	text := portctl(t, n, "stats", "--watch", "--interval", "200ms", "--count", "4", "-o", "json").want(t, 0)
	stop()
	var last inspect.Stats
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i, line := range lines {
		stats := decode[inspect.Stats](t, line)
		if i > 0 {
			counted := float64(stats.Rules[0].Packets - last.Rules[0].Packets)
			if rate := stats.Rules[0].PacketRate * stats.Seconds; stats.Seconds < 0.2 || rate < counted-0.5 || rate > counted+0.5 {
				t.Errorf("%v packets came on in %v seconds, the rate is %v", counted, stats.Seconds, stats.Rules[0].PacketRate)
			}
		}
		last = stats
	}
	if len(lines) != 4 || last.Rules[0].Packets == 0 {
		t.Errorf("%s", text)
	}
	if text := portctl(t, n, "stats", "-w", "-i", "100ms", "-n", "2").want(t, 0); strings.Count(text, "CONTAINER") != 4 || strings.Contains(text, "\x1b") {
		t.Errorf("two reports of two tables are\n%q", text)
	}
}

// TestWatchOnATerminal expects watch to redraw on the alternate screen, to sort by another column
// on s, to end on q, and to restore the terminal.
func TestWatchOnATerminal(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	send(t, c, 7999, 42)
	tty, shown := openTerminal(t)
	tool := node.ToolCommand(t, "stats", "--watch", "--interval", "100ms")
	tool.Env = append(os.Environ(), "TERM=xterm")
	tool.Stdin, tool.Stdout, tool.Stderr = tty, tty, tty
	before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	must(t, err)
	must(t, n.NS.Do(func(ns.NetNS) error { return tool.Start() }))
	t.Cleanup(func() { _ = tool.Process.Kill() })
	shown.await(t, "main", "42", "sorted by rate")
	shown.press(t, "s")
	shown.await(t, "packets  (s: sort") // the text after "sorted by", which is already shown
	shown.press(t, "q")
	must(t, tool.Wait())
	const leave = "\x1b[?1049l" // the alternate screen
	shown.await(t, leave)
	after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	must(t, err)
	if *before != *after {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
}

// TestTerminalIsAskedNothing expects output on a terminal at once. A program that queries a
// terminal waits for long if there is no answer.
func TestTerminalIsAskedNothing(t *testing.T) {
	n := node.ForTest(t)
	tty, shown := openTerminal(t)
	tool := node.ToolCommand(t, "version")
	tool.Env = append(os.Environ(), "TERM=xterm-256color")
	tool.Stdin, tool.Stdout, tool.Stderr = tty, tty, tty
	must(t, n.NS.Do(func(ns.NetNS) error { return tool.Run() }))
	shown.await(t, "\n")
	if text := shown.String(); !strings.HasPrefix(text, "xdp-portctl ") || strings.Contains(text, "\x1b") {
		t.Errorf("%q", text)
	}
}

// screen is what a terminal shows.
type screen struct {
	far   *os.File
	mutex sync.Mutex
	bytes bytes.Buffer
}

// openTerminal makes a pseudo-terminal of 24 lines and collects its output.
func openTerminal(t *testing.T) (tty *os.File, shown *screen) {
	t.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { far.Close() })
	must(t, unix.IoctlSetPointerInt(int(far.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(far.Fd()), unix.TIOCGPTN)
	must(t, err)
	must(t, unix.IoctlSetWinsize(int(far.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 160}))
	tty, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	t.Cleanup(func() { tty.Close() })
	shown = &screen{far: far}
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			count, err := far.Read(buffer)
			if err != nil {
				return
			}
			shown.mutex.Lock()
			shown.bytes.Write(buffer[:count])
			shown.mutex.Unlock()
		}
	}()
	return tty, shown
}

func (s *screen) String() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.bytes.String()
}

func (s *screen) press(t *testing.T, key string) {
	t.Helper()
	_, err := s.far.WriteString(key)
	must(t, err)
}

// await waits until the terminal has shown all texts.
func (s *screen) await(t *testing.T, texts ...string) {
	t.Helper()
	var all string
	for deadline := time.Now().Add(node.ToolTimeout); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		all = s.String()
		missing := false
		for _, text := range texts {
			missing = missing || !strings.Contains(all, text)
		}
		if !missing {
			return
		}
	}
	t.Fatalf("%q is not in\n%q", texts, all)
}
