package node

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"golang.org/x/sys/unix"
)

const aloneVariable = "XDP_PORT_TEST_ALONE"

// Alone gives this process a mount namespace with a BPF file system of its
// own, where no other containers' state is: it runs itself again in one, and
// exits as that does. A test calls it from TestMain, before all else.
func Alone() error {
	if os.Getenv(aloneVariable) != "" {
		// Above the one that is there, if any.
		if err := unix.Mount("bpf", "/sys/fs/bpf", "bpf", 0, ""); err != nil {
			return fmt.Errorf("mount a BPF file system: %w", err)
		}
		return nil
	}
	again := exec.Command("/proc/self/exe", os.Args[1:]...)
	again.Env = append(os.Environ(), aloneVariable+"=yes")
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
