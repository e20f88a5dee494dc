package runtimes

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

// runtime is a container runtime under test. Its containers run the echo server at the ports of serve, in the
// network lab.
type runtime interface {
	// run starts a container.
	run(name string) error
	// cycle makes a container and removes it, in the shortest way. It may use the server.
	cycle(name, server string) error
	// exec runs a command in a container and returns its stdout.
	exec(name string, command ...string) (string, error)
	// pids are the container's processes, as numbered on its machine.
	pids(name string) ([]string, error)
	// remove stops a container, unless it has ended, and removes it.
	remove(name string) error
	// restart restarts the daemon. Containers that do not survive are run again.
	restart() error
}

// serve is the command of a container.
var serve = []string{"/echo", "serve", "25", "6998", "7998", "7999"}

// testRuntime runs a server and its clients from start to end.
func testRuntime(t *testing.T, m *machine.Machine, r runtime) {
	must(t, r.run("server"))
	server := address(t, r, "server")
	programs := loaded(t, m)
	if len(programs) == 0 {
		t.Error("no program is pinned while a container runs")
	}

	t.Run("traffic", func(t *testing.T) {
		must(t, r.run("client"))
		wantRewritten(t, r, "client", server)
		must(t, r.remove("client"))
		wantAttachments(t, m, 1)
	})
	t.Run("restart", func(t *testing.T) {
		must(t, r.run("client"))
		must(t, r.restart())
		server = address(t, r, "server")
		wantRewritten(t, r, "client", server)
		must(t, r.remove("client"))
		wantAttachments(t, m, 1)
	})
	t.Run("kill", func(t *testing.T) {
		must(t, r.run("client"))
		pids, err := r.pids("client")
		must(t, err)
		_, err = m.Run(append([]string{"kill", "-9"}, pids...)...)
		must(t, err)
		must(t, r.remove("client"))
		wantAttachments(t, m, 1)
	})
	t.Run("cycles", func(t *testing.T) {
		cycle(t, r, server)
		wantAttachments(t, m, 1)
	})
	must(t, r.remove("server"))
	wantNothing(t, m, programs)
}

func address(t *testing.T, r runtime, name string) string {
	t.Helper()
	printed, err := r.exec(name, "/echo", "address")
	must(t, err)
	return strings.TrimSpace(printed)
}

// wantRewritten expects both protocols to reach 7998 through 7999, and to receive the answers. A connected
// socket receives them only from the port that it sends to.
func wantRewritten(t *testing.T, r runtime, client, server string) {
	t.Helper()
	wantAnswer(t, r, client, "udp", server+":7999", "7998")
	wantAnswer(t, r, client, "tcp", server+":7999", "7998")
	wantAnswer(t, r, client, "udp", server+":6998", "6998")
}

func wantAnswer(t *testing.T, r runtime, client, protocol, target, port string) {
	t.Helper()
	got, err := r.exec(client, "/echo", "ask", protocol, target)
	if want := protocol + " " + port; err != nil || strings.TrimSpace(got) != want {
		t.Errorf("%s asks %s %s: got %q, want %q (%v)", client, protocol, target, got, want, err)
	}
}

func wantSilence(t *testing.T, r runtime, client, protocol, target string) {
	t.Helper()
	if got, err := r.exec(client, "/echo", "ask", protocol, target); err == nil {
		t.Errorf("%s asks %s %s: got %q, want no answer", client, protocol, target, got)
	}
}

// Several workers make cycles at once, as on a busy node.
const (
	cycles = 50
	atOnce = 4
)

// cycle makes and removes containers next to the server.
func cycle(t *testing.T, r runtime, server string) {
	numbers := make(chan int)
	var workers sync.WaitGroup
	for range atOnce {
		workers.Go(func() {
			for n := range numbers {
				if err := r.cycle(fmt.Sprintf("cycle-%d", n), server); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for n := range cycles {
		numbers <- n
	}
	close(numbers)
	workers.Wait()
}

// wantPrinted checks echo's output for port 7999.
func wantPrinted(printed string, err error) error {
	if err == nil && strings.TrimSpace(printed) != "udp 7998" {
		err = fmt.Errorf("the answer is %q", printed)
	}
	return err
}
