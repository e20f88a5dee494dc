//go:build linux && (amd64 || arm64)

package ptrace_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/internal/ptrace"
	"github.com/xdp-port/xdp-port/test/pace"
)

var timeout = pace.Patience(10 * time.Second)

func echo() (*exec.Cmd, *bytes.Buffer) {
	var out bytes.Buffer
	cmd := exec.Command("cat")
	cmd.Stdin, cmd.Stdout = strings.NewReader("this\n"), &out
	return cmd, &out
}

func TestProceed(t *testing.T) {
	cmd, out := echo()
	writes := 0
	err := ptrace.Run(cmd, timeout, func(c ptrace.Call) ptrace.Verdict {
		if c.Number == unix.SYS_WRITE && c.Args[0] == 1 {
			writes++
		}
		return ptrace.Proceed
	})
	if err != nil || out.String() != "this\n" || writes != 1 {
		t.Errorf("it wrote %q by %d calls: %v", out, writes, err)
	}
}

// TestKill expects the kernel not to serve the call that the process is killed at.
func TestKill(t *testing.T) {
	cmd, out := echo()
	err := ptrace.Run(cmd, timeout, func(c ptrace.Call) ptrace.Verdict {
		if c.Number == unix.SYS_WRITE {
			return ptrace.Kill
		}
		return ptrace.Proceed
	})
	if !ptrace.IsKilled(err) {
		t.Errorf("it was not killed: %v", err)
	}
	if out.Len() > 0 {
		t.Errorf("it wrote %q", out)
	}
}

func TestFail(t *testing.T) {
	cmd, out := echo()
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	err := ptrace.Run(cmd, timeout, func(c ptrace.Call) ptrace.Verdict {
		if c.Number == unix.SYS_WRITE && c.Args[0] == 1 {
			return ptrace.Fail(unix.ENOSPC)
		}
		return ptrace.Proceed
	})
	if err == nil || out.Len() > 0 || !strings.Contains(complaint.String(), "No space") {
		t.Errorf("it wrote %q, complained %q: %v", out, &complaint, err)
	}
}

// TestChange expects the process to read something other than what was written.
func TestChange(t *testing.T) {
	cmd, out := echo()
	err := ptrace.Run(cmd, timeout, func(c ptrace.Call) ptrace.Verdict {
		if c.Number != unix.SYS_READ || c.Args[0] != 0 {
			return ptrace.Proceed
		}
		return ptrace.Change(func(memory *os.File, result int64) int64 {
			if result == 0 {
				return 0
			}
			_, err := memory.WriteAt([]byte("that"), int64(c.Args[1]))
			if err != nil {
				t.Error(err)
			}
			return result - 1
		})
	})
	if err != nil || out.String() != "that" {
		t.Errorf("it wrote %q: %v", out, err)
	}
}

// TestThreads follows the threads of a Go program.
func TestThreads(t *testing.T) {
	cmd := exec.Command("/proc/self/exe", "-test.list=Threads")
	var out bytes.Buffer
	cmd.Stdout = &out
	clones, calls := 0, 0
	err := ptrace.Run(cmd, timeout, func(c ptrace.Call) ptrace.Verdict {
		calls++
		if c.Number == unix.SYS_CLONE {
			clones++
		}
		return ptrace.Proceed
	})
	if err != nil || !strings.HasPrefix(out.String(), "TestThreads") {
		t.Errorf("%q: %v", &out, err)
	}
	if clones < 2 || calls < 100 {
		t.Errorf("%d clones, %d calls", clones, calls)
	}
}

func TestTimeout(t *testing.T) {
	err := ptrace.Run(exec.Command("sleep", "60"), 100*time.Millisecond, func(ptrace.Call) ptrace.Verdict {
		return ptrace.Proceed
	})
	if !errors.Is(err, ptrace.ErrTimeout) {
		t.Error(err)
	}
}
