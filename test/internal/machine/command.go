package machine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Patience is the time limit of every command.
const Patience = time.Minute

// Run runs a command in the machine and returns what it printed to stdout. The
// error has what it printed to stderr.
func (m *Machine) Run(command ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	return m.RunIn(ctx, "/", command...)
}

// RunIn is Run in a folder, within the time of the context.
func (m *Machine) RunIn(ctx context.Context, folder string, command ...string) (string, error) {
	cmd := m.command(ctx, folder, command)
	// A program in the background keeps the output open.
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := m.start(cmd)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		return stdout.String(), fmt.Errorf("%s: %w: %s%s", strings.Join(command, " "), err, stderr.Bytes(), stdout.Bytes())
	}
	return stdout.String(), nil
}

// command lets env(1) find the program, because the machine's files are not the
// host's.
func (m *Machine) command(ctx context.Context, folder string, command []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "/usr/bin/env", command...)
	cmd.Dir = folder
	path := strings.Join(append(m.Path, os.Getenv("PATH")), ":")
	cmd.Env = append(os.Environ(), "PATH="+path, "TMPDIR=/run/tmp")
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	return cmd
}

// start starts a command in the machine, on a thread that enters it and never
// returns.
func (m *Machine) start(cmd *exec.Cmd) error {
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := m.enter()
		if err == nil {
			err = m.startHere(cmd)
		}
		started <- err
	}()
	return <-started
}

func (m *Machine) startHere(cmd *exec.Cmd) error {
	if m.cgroups.unified == "" {
		return cmd.Start()
	}
	// The first process may have moved its cgroup's processes into a leaf.
	leaf, err := unix.Open(m.leaf(), unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(leaf)
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, leaf
	return cmd.Start()
}

// leaf is the cgroup for processes in the unified hierarchy, as the machine sees it.
func (m *Machine) leaf() string {
	if isUnified(cgroupTop) {
		return filepath.Join(cgroupTop, "machine")
	}
	return filepath.Join(cgroupTop, "unified")
}

// enter moves this thread into the machine's cgroups and namespaces. The PID
// namespace applies to its children.
func (m *Machine) enter() error {
	if err := m.cgroups.addThread(); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	for _, namespace := range []string{"cgroup", "ipc", "uts", "net", "pid", "mnt"} {
		path := filepath.Join("/proc", strconv.Itoa(m.init.Process.Pid), "ns", namespace)
		if err := enterNamespace(path); err != nil {
			return fmt.Errorf("enter %s: %w", path, err)
		}
	}
	return nil
}

func enterNamespace(path string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Setns(fd, 0)
}
