package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

const isolatedVariable = "XDP_PORT_TEST_ISOLATED"

// isolate gives this process a mount namespace and an empty BPF file system, so
// that it sees no other state and packages can run at the same time. It runs the
// program again in the namespace and exits with its code.
func isolate() error {
	if os.Getenv(isolatedVariable) != "" {
		// This one hides the machine's BPF file system, if there is one.
		if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, "mode=0700"); err != nil {
			return fmt.Errorf("mount a BPF file system: %w", err)
		}
		return nil
	}
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Env = append(os.Environ(), isolatedVariable+"=yes")
	again.Stdin, again.Stdout, again.Stderr = os.Stdin, os.Stdout, os.Stderr
	again.SysProcAttr = &unix.SysProcAttr{Unshareflags: unix.CLONE_NEWNS, Pdeathsig: unix.SIGTERM}
	err := again.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	os.Exit(again.ProcessState.ExitCode())
	return nil
}
