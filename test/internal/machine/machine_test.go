package machine

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	Main()
	flag.Parse()
	if !testing.Short() {
		if err := Sweep(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func newMachine(t *testing.T) *Machine {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root: run without -short")
	}
	m, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// TestMachine expects a machine to have its own files, processes and network.
func TestMachine(t *testing.T) {
	m := newMachine(t)
	for _, look := range []struct{ command, want string }{
		{"stat -fc %T /sys/fs/bpf", "bpf_fs"},
		{"ls -A /etc/cni /opt/cni | tr -d '\\n'", "/etc/cni:/opt/cni:"},
		{"ls /run/systemd 2>/dev/null || echo none", "none"},
		{"tr -d '\\0' </proc/1/cmdline", initName},
		{"grep -c machine- /proc/self/cgroup || true", "0"},
		{"tail -n +3 /proc/net/dev | wc -l", "1"},
		{"echo hello >/etc/hello; cat /etc/hello", "hello"},
	} {
		got, err := m.Run("sh", "-c", look.command)
		if err != nil {
			t.Error(err)
		}
		if got = strings.TrimSpace(got); got != look.want {
			t.Errorf("%s: got %q, want %q", look.command, got, look.want)
		}
	}
	if _, err := os.Stat("/etc/hello"); err == nil {
		t.Error("a file of the machine is on the host")
	}
}

// TestClose expects Close to remove everything that daemons started.
func TestClose(t *testing.T) {
	m := newMachine(t)
	daemon, err := m.StartDaemon(filepath.Join(t.TempDir(), "log"), "sleep", "1000")
	if err != nil {
		t.Fatal(err)
	}
	orphan, err := m.Run("sh", "-c", "mkdir /sys/fs/cgroup/*/below; setsid sleep 1000 >/dev/null 2>&1 & echo $!")
	if err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Stat(m.File("/proc/"+strings.TrimSpace(orphan)), &stat); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-daemon.Ended():
	case <-time.After(5 * time.Second):
		t.Error("the daemon goes on")
	}
	left, err := filepath.Glob(fmt.Sprintf("%s/*/%s%d-*", cgroupTop, cgroupPrefix, os.Getpid()))
	if err != nil || len(left) > 0 {
		t.Error(left, err)
	}
}

// TestRunEnds expects Run to stop a command that does not end by itself.
func TestRunEnds(t *testing.T) {
	m := newMachine(t)
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if _, err := m.RunIn(ctx, "/", "sleep", "1000"); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a command that takes too long: %v", err)
	}
}
