package trace_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
	"github.com/xdp-port/xdp-port/pkg/trace"
)

const listenerDir = "XDP_PORT_TEST_LISTENER"

// TestDeadListener kills a listener: another has to wait until its time is over,
// and the first packet after that makes tracing cost nothing again.
func TestDeadListener(t *testing.T) {
	if dir := os.Getenv(listenerDir); dir != "" {
		listen(t, datapath.Dir(dir), trace.Options{})
		fmt.Println("listening")
		select {}
	}
	programs, dir := programtest.Pinned(t, programtest.TraceRules(), datapath.Shared{})
	victim := exec.Command(os.Args[0], "-test.run=^TestDeadListener$")
	victim.Env = append(os.Environ(), listenerDir+"="+string(dir))
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
	time.Sleep(trace.ListenFor + trace.RenewEvery) // it goes on for longer than it said first
	if _, err := trace.Listen(string(dir), trace.Options{}); !errors.Is(err, trace.ErrListening) {
		t.Errorf("a second listener got %v", err)
	}
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait()
	if _, err := trace.Listen(string(dir), trace.Options{}); !errors.Is(err, trace.ErrListening) {
		t.Errorf("a listener at once after the first one's death got %v", err)
	}
	time.Sleep(trace.ListenFor)
	frame := bpftest.UDP(bpftest.Outside, 53, bpftest.Inside, 4000).Bytes()
	bpftest.Run(t, programs.ToContainer, frame)
	if until, err := trace.ListeningUntil(string(dir)); until != 0 || err != nil {
		t.Errorf("the dead listener is not forgotten: %d, %v", until, err)
	}
	l := listen(t, dir, trace.Options{})
	bpftest.Run(t, programs.ToContainer, frame)
	next(t, l)
	wantSilence(t, l)
}

// TestSleepingListener is stopped for longer than it said it would listen, and
// finds another one in its place.
func TestSleepingListener(t *testing.T) {
	_, dir := programtest.Pinned(t, programtest.TraceRules(), datapath.Shared{})
	sleeper := listen(t, dir, trace.Options{})
	sleeper.SetDeadline(time.Time{})
	sleeper.Expire()
	usurper := listen(t, dir, trace.Options{})
	if _, err := sleeper.Next(); !errors.Is(err, trace.ErrListening) {
		t.Errorf("the sleeper got %v", err)
	}
	if err := sleeper.Close(); err != nil {
		t.Error(err)
	}
	time.Sleep(trace.RenewEvery + trace.RenewEvery/2)
	if !usurper.IsLive() {
		t.Error("the sleeper ended the trace of the other")
	}
}
