package runtimes

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

// ctr does what ctr run --cni does in containerd 2: the container runs independently, and ctr task kill runs
// DEL.
type ctr struct{ *containerd }

func TestCtr2(t *testing.T) {
	c := startContainerd(t, containerd2)
	equip(t, c.m)
	testRuntime(t, c.m, ctr{c})
}

func (c ctr) run(name string) error {
	_, err := c.m.Run(append([]string{"ctr", "run", "-d", "--cni", image, name}, serve...)...)
	return err
}

func (c ctr) cycle(name, server string) error {
	return wantPrinted(c.m.Run("ctr", "run", "--rm", "--cni", image, name, "/echo", "ask", "udp", server+":7999"))
}

func (c ctr) exec(name string, command ...string) (string, error) {
	return c.m.Run(append([]string{"ctr", "task", "exec", "--exec-id", "exec", name}, command...)...)
}

func (c ctr) pids(name string) ([]string, error) {
	tasks, err := c.m.Run("ctr", "task", "ls")
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(tasks) {
		if field := strings.Fields(line); field[0] == name {
			return field[1:2], nil
		}
	}
	return nil, fmt.Errorf("no task %s in %s", name, tasks)
}

func (c ctr) remove(name string) error {
	if err := c.kill(name); err != nil {
		return err
	}
	if err := c.deleteTask(name); err != nil {
		return err
	}
	_, err := c.m.Run("ctr", "container", "delete", name)
	return err
}

func (c ctr) kill(name string) error {
	_, err := c.m.Run("ctr", "task", "kill", "-s", "SIGKILL", name)
	if err != nil && endedAlready.MatchString(err.Error()) {
		return nil
	}
	return err
}

// endedAlready matches what kill prints after it has run DEL and found nothing to kill, because the task or
// its container has ended.
var endedAlready = regexp.MustCompile(
	`already finished|no running task found|task \S+ not found|cannot kill a deleted process|container "\S+" in namespace "\S+": not found`)

// deleteTask retries until the process has ended, because kill only sends the signal.
func (c ctr) deleteTask(name string) error {
	return eventually(func() error {
		_, err := c.m.Run("ctr", "task", "delete", name)
		if err != nil && strings.Contains(err.Error(), "not found") {
			return nil
		}
		return err
	})
}

// foreground does what ctr run --cni does in containerd 1: it runs as long as the container and then runs
// DEL. For a detached container, DEL never runs.
type foreground struct {
	ctr
	running map[string]*machine.Daemon
}

func TestCtr1(t *testing.T) {
	c := startContainerd(t, containerd1)
	equip(t, c.m)
	testRuntime(t, c.m, foreground{ctr{c}, map[string]*machine.Daemon{}})
}

func (f foreground) run(name string) (err error) {
	command := append([]string{"ctr", "run", "--rm", "--cni", image, name}, serve...)
	if f.running[name], err = f.m.StartDaemon(f.log, command...); err != nil {
		return err
	}
	// A task accepts commands once it is created, while the network's plugins are still running. It runs when
	// they have finished.
	return eventually(func() error {
		if err := f.isRunning(name); err != nil {
			return err
		}
		_, err := f.exec(name, "/echo", "address")
		return err
	})
}

func (c ctr) isRunning(name string) error {
	tasks, err := c.m.Run("ctr", "task", "ls")
	if err != nil {
		return err
	}
	for line := range strings.Lines(tasks) {
		if field := strings.Fields(line); len(field) > 2 && field[0] == name && field[2] == "RUNNING" {
			return nil
		}
	}
	return fmt.Errorf("%s does not run: %s", name, tasks)
}

func (f foreground) remove(name string) error {
	// The container may end by itself. The output of kill matters only if it does not.
	killed := f.kill(name)
	if err := f.wait(name); err != nil {
		return errors.Join(err, killed)
	}
	return nil
}

func (f foreground) wait(name string) error {
	defer delete(f.running, name)
	select {
	case <-f.running[name].Ended():
		return nil
	case <-time.After(machine.Patience):
		return fmt.Errorf("ctr run of %s does not end", name)
	}
}

// restart must re-create the containers: when the daemon stops, each ctr runs DEL and ends.
func (f foreground) restart() error {
	var names []string
	for name := range f.running {
		names = append(names, name)
	}
	if err := f.containerd.restart(); err != nil {
		return err
	}
	for _, name := range names {
		if err := f.wait(name); err != nil {
			return err
		}
		if err := f.ctr.remove(name); err != nil {
			return err
		}
		if err := f.run(name); err != nil {
			return err
		}
	}
	return nil
}

// eventually retries for a while.
func eventually(try func() error) (err error) {
	for deadline := time.Now().Add(machine.Patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return nil
		}
	}
	return err
}
