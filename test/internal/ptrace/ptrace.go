//go:build linux && (amd64 || arm64)

package ptrace

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Call is a system call that is about to be made.
type Call struct {
	// Number is one of unix.SYS_*.
	Number uint64
	Args   [6]uint64
	// PID is the process. Args may point to its memory.
	PID int
}

// Verdict is what to do with a Call.
type Verdict struct {
	kill  bool
	errno unix.Errno
	edit  Edit
}

// Edit changes the kernel's answer to a call: it returns another result, and may
// write to the memory of the process by address.
type Edit func(memory *os.File, result int64) int64

// Verdicts without a parameter.
var (
	// Proceed lets the kernel serve the call.
	Proceed = Verdict{}
	// Kill ends the process with SIGKILL before the kernel serves the call.
	Kill = Verdict{kill: true}
)

// Fail returns an error to the process. The kernel does not serve the call.
func Fail(errno unix.Errno) Verdict { return Verdict{errno: errno} }

// Change lets the kernel serve the call and edits the answer.
func Change(edit Edit) Verdict { return Verdict{edit: edit} }

// ErrTimeout is the error if the process did not end in time and was killed.
var ErrTimeout = errors.New("it took too long and was killed")

// Run starts the command and asks judge about each system call of each thread, which
// waits for the verdict. It returns the error of exec.Cmd.Wait.
func Run(cmd *exec.Cmd, timeout time.Duration, judge func(Call) Verdict) error {
	runtime.LockOSThread() // only the tracing thread may use ptrace
	defer runtime.UnlockOSThread()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(unix.SysProcAttr)
	}
	cmd.SysProcAttr.Ptrace = true
	if err := cmd.Start(); err != nil {
		return err
	}
	t := &tracer{pid: cmd.Process.Pid, judge: judge, threads: map[int]*thread{}}
	late := time.AfterFunc(timeout, func() { _ = unix.Kill(t.pid, unix.SIGKILL) })
	err := t.trace()
	if err != nil {
		_ = unix.Kill(t.pid, unix.SIGKILL)
	}
	if !late.Stop() {
		err = errors.Join(err, ErrTimeout)
	}
	if err != nil {
		return errors.Join(err, cmd.Wait())
	}
	return cmd.Wait()
}

// IsKilled reports whether an error of Run means that Kill, and nothing else, ended
// the process.
func IsKilled(err error) bool {
	exit, ok := err.(*exec.ExitError) //nolint:errorlint // a joined error has another cause
	return ok && exit.Sys().(syscall.WaitStatus).Signal() == unix.SIGKILL
}

type tracer struct {
	pid     int
	judge   func(Call) Verdict
	threads map[int]*thread
}

type thread struct {
	// edit is for the call that the thread is in, or nil.
	edit Edit
}

const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL

// trace ends when the process has ended. exec.Cmd.Wait collects its status.
func (t *tracer) trace() error {
	for begun := false; ; begun = true {
		tid, ended, err := t.next()
		if ended || err != nil {
			return err
		}
		var status unix.WaitStatus
		switch waited, err := unix.Wait4(tid, &status, unix.WALL|unix.WNOHANG, nil); {
		case err != nil:
			return fmt.Errorf("wait for thread %d: %w", tid, err)
		case waited == 0:
			continue // it was killed meanwhile; the first thread ends after all others
		case !status.Stopped():
			continue // one thread of several has ended
		}
		if !begun {
			if err := unix.PtraceSetOptions(tid, options); err != nil {
				return fmt.Errorf("trace process %d: %w", tid, err)
			}
		}
		if err := t.resume(tid, status); err != nil {
			return fmt.Errorf("trace thread %d: %w", tid, err)
		}
	}
}

// next waits until something happens to a thread or the process ends. It ignores
// other children of this process.
func (t *tracer) next() (tid int, ended bool, err error) {
	var info struct {
		signo, errno, code, _ int32
		pid                   int32
		_                     [108]byte
	}
	for {
		err := unix.Waitid(unix.P_ALL, 0, (*unix.Siginfo)(unsafe.Pointer(&info)),
			unix.WEXITED|unix.WSTOPPED|unix.WNOWAIT|unix.WALL|unix.WNOTHREAD, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return 0, false, fmt.Errorf("wait for process %d: %w", t.pid, err)
		}
		const exited, dumped = 1, 3 // CLD_EXITED and CLD_DUMPED; CLD_KILLED is between them
		ended := int(info.pid) == t.pid && exited <= info.code && info.code <= dumped
		return int(info.pid), ended, nil
	}
}

// resume judges the call that stopped a thread, if a call did, and continues the
// thread.
func (t *tracer) resume(tid int, status unix.WaitStatus) error {
	this := t.threads[tid]
	if this == nil {
		// The first stop of a thread begins its trace: SIGTRAP for the process, SIGSTOP
		// for each further thread.
		t.threads[tid] = new(thread)
		return proceed(tid, 0)
	}
	switch signal := status.StopSignal(); signal {
	case unix.SIGTRAP | 0x80:
		return t.atCall(tid, this)
	case unix.SIGTRAP:
		return proceed(tid, 0) // the event of a clone
	default:
		return proceed(tid, signal)
	}
}

func proceed(tid int, signal unix.Signal) error {
	return unlessKilled(unix.PtraceSyscall(tid, int(signal)))
}

// stop is struct ptrace_syscall_info of the kernel.
type stop struct {
	op     uint8
	_      [3]byte
	arch   uint32
	_      [2]uint64 // instruction and stack pointer
	number uint64    // valid at the entry, like the fields below
	args   [6]uint64
	_      [8]byte
}

const (
	atEntry = 1 // PTRACE_SYSCALL_INFO_ENTRY
	atExit  = 2 // PTRACE_SYSCALL_INFO_EXIT
)

func (t *tracer) atCall(tid int, this *thread) error {
	var at stop
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO,
		uintptr(tid), unsafe.Sizeof(at), uintptr(unsafe.Pointer(&at)), 0, 0)
	if errno == unix.ESRCH {
		return nil
	}
	if errno != 0 {
		return errno
	}
	switch {
	case at.op == atEntry:
		verdict := t.judge(Call{Number: at.number, Args: at.args, PID: t.pid})
		if verdict.kill {
			return unix.Kill(t.pid, unix.SIGKILL)
		}
		this.edit = verdict.edit
		if verdict.errno != 0 {
			if err := this.suppress(tid, verdict.errno); err != nil {
				return err
			}
		}
	case at.op == atExit && this.edit != nil:
		if err := t.answer(tid, this.edit); err != nil {
			return err
		}
		this.edit = nil
	}
	return proceed(tid, 0)
}

// suppress returns an error for the call that the thread is about to make. The
// kernel does not serve it.
func (t *thread) suppress(tid int, errno unix.Errno) error {
	t.edit = func(*os.File, int64) int64 { return -int64(errno) }
	return unlessKilled(skipCall(tid))
}

// answer edits the answer to the call that the thread is returning from.
func (t *tracer) answer(tid int, edit Edit) error {
	return unlessKilled(changeResult(tid, func(result int64) (int64, error) {
		memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", t.pid), os.O_RDWR, 0)
		if err != nil {
			return 0, err
		}
		defer memory.Close()
		return edit(memory, result), nil
	}))
}

// unlessKilled ignores the error for a thread that was killed while it was stopped.
func unlessKilled(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
