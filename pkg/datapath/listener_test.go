package datapath

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const listenerDir = "XDP_PORT_TEST_LISTENER"

// TestDeadListener kills a listener: another has to wait until its time is over,
// and the first packet after that makes tracing cost nothing again.
func TestDeadListener(t *testing.T) {
	if dir := os.Getenv(listenerDir); dir != "" {
		listen(t, dir, TraceOptions{})
		fmt.Println("listening")
		select {}
	}
	programs, dir := pinned(t, traceRules(), Shared{})
	victim := exec.Command(os.Args[0], "-test.run=^TestDeadListener$")
	victim.Env = append(os.Environ(), listenerDir+"="+dir)
	victim.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	output, err := victim.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // a thread's end would be the parent's
	defer runtime.UnlockOSThread()
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := output.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(listenFor + renewEvery) // it goes on for longer than it said first
	if _, err := Listen(dir, TraceOptions{}); !errors.Is(err, ErrListening) {
		t.Errorf("a second listener got %v", err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	if _, err := Listen(dir, TraceOptions{}); !errors.Is(err, ErrListening) {
		t.Errorf("a listener at once after the first one's death got %v", err)
	}
	time.Sleep(listenFor)
	frame := udp(outside, 53, inside, 4000).Bytes()
	run(t, programs.ToContainer, frame)
	control, err := openTraceControl(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer control.Close()
	if control.shared.Until != 0 {
		t.Errorf("the dead listener is not forgotten: %+v", control.shared)
	}
	l := listen(t, dir, TraceOptions{})
	run(t, programs.ToContainer, frame)
	next(t, l)
	wantSilence(t, l)
}

// TestSleepingListener is stopped for longer than it said it would listen, and
// finds another one in its place.
func TestSleepingListener(t *testing.T) {
	_, dir := pinned(t, traceRules(), Shared{})
	sleeper := listen(t, dir, TraceOptions{})
	sleeper.SetDeadline(time.Time{})
	sleeper.control.shared.Until = 1 // long over
	usurper := listen(t, dir, TraceOptions{})
	if _, err := sleeper.Next(); !errors.Is(err, ErrListening) {
		t.Errorf("the sleeper got %v", err)
	}
	if err := sleeper.Close(); err != nil {
		t.Error(err)
	}
	time.Sleep(renewEvery + renewEvery/2)
	if !usurper.control.holds() || usurper.lost.Load() != nil {
		t.Error("the sleeper ended the trace of the other")
	}
}
