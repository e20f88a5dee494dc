// Package machine makes a clean machine that a container runtime can run on. The
// machine has its own processes, network, cgroups and BPF file system. Its /run,
// /etc/cni and /opt/cni are empty, and files written below /etc, /opt, /usr, /var/lib
// and /var/log stay in it. Close removes the machine; so does the end of the process
// that made it.
//
// It is no sandbox: the rest of the file system is the host's.
package machine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Machine is a running machine.
type Machine struct {
	// Path are folders to look for programs in before the usual ones.
	Path []string

	init    *exec.Cmd
	alive   io.Closer
	cgroups cgroups
	daemons []*Daemon
}

var made atomic.Int64

// New starts a machine. The calling program must call Main before anything else,
// because it is also the first process of its machines.
func New() (m *Machine, err error) {
	m = &Machine{}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("make a machine: %w", err), m.Close())
			m = nil
		}
	}()
	name := fmt.Sprintf("%s%d-%d", cgroupPrefix, os.Getpid(), made.Add(1))
	if m.cgroups, err = newCgroups(name); err != nil {
		return m, err
	}
	return m, m.boot()
}

// boot starts the first process and waits until the machine is laid out.
func (m *Machine) boot() error {
	init := exec.Command("/proc/self/exe")
	init.Args[0] = initName
	init.SysProcAttr = &unix.SysProcAttr{
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	}
	var complaint bytes.Buffer
	init.Stderr = &complaint
	stdin, err := init.StdinPipe()
	if err != nil {
		return err
	}
	m.alive = stdin
	stdout, err := init.StdoutPipe()
	if err != nil {
		return err
	}
	if err := init.Start(); err != nil {
		return err
	}
	m.init = init
	if err := m.cgroups.add(init.Process.Pid); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(stdin, "go"); err != nil {
		return err
	}
	if _, err := stdout.Read(make([]byte, 1)); err != nil {
		_ = init.Wait()
		m.init = nil
		return fmt.Errorf("the first process: %w: %s", err, complaint.Bytes())
	}
	return nil
}

// Close ends all processes of the machine, and the machine with them.
func (m *Machine) Close() error {
	if m.alive != nil {
		m.alive.Close()
	}
	if m.init != nil {
		_ = m.init.Wait()
		m.init = nil
	}
	for _, d := range m.daemons {
		<-d.ended
	}
	return m.cgroups.remove()
}

// File returns the path of a machine's file outside of the machine.
func (m *Machine) File(path string) string {
	return filepath.Join("/proc", strconv.Itoa(m.init.Process.Pid), "root", path)
}

// WriteFile writes a file of the machine, and makes its folder.
func (m *Machine) WriteFile(path, content string) error {
	path = m.File(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(content), 0o644)
}
