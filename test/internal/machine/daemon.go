package machine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// Daemon is a program that keeps running in a machine.
type Daemon struct {
	// Log is what it printed, outside of the machine.
	Log string

	cmd   *exec.Cmd
	ended chan struct{}
}

// StartDaemon starts a program that logs to a file outside of the machine.
func (m *Machine) StartDaemon(log string, command ...string) (*Daemon, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	d := &Daemon{Log: log, cmd: m.command(context.Background(), "/", command), ended: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = out, out
	if err := m.start(d.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", command[0], err)
	}
	go func() {
		_ = d.cmd.Wait()
		close(d.ended)
	}()
	m.daemons = append(m.daemons, d)
	return d, nil
}

// Ended is closed when the daemon has ended.
func (d *Daemon) Ended() <-chan struct{} { return d.ended }

// Stop ends the daemon with a signal and waits for it. Its children keep running.
func (d *Daemon) Stop(signal os.Signal) error {
	if err := d.cmd.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-d.ended:
		return nil
	case <-time.After(Patience):
		return errors.New("the daemon does not end")
	}
}
