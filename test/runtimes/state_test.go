package runtimes

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

const stateFolder = "/sys/fs/bpf/xdp-port"

// attachments returns the folders of the attachments that are pinned.
func attachments(m *machine.Machine) []string {
	found, _ := filepath.Glob(m.File(stateFolder + "/rulesets/*/attachments/*/*/*")) // the pattern is good
	return found
}

// wantAttachments wants so many containers attached, and as many host sides of
// veths. Where the container's process ended before DEL, its namespace's path is
// gone, and the kernel alone removes the veth, some time later.
func wantAttachments(t *testing.T, m *machine.Machine, count int) {
	t.Helper()
	if found := attachments(m); len(found) != count {
		t.Errorf("%d attachments are pinned, want %d: %s", len(found), count, strings.Join(found, " "))
	}
	must(t, eventually(func() error { return wantVeths(m, count) }))
}

func wantVeths(m *machine.Machine, count int) error {
	ports, err := m.Run("sh", "-c", "ls -d /proc/sys/net/ipv4/conf/veth*; true")
	if err != nil {
		return err
	}
	if found := strings.Fields(ports); len(found) != count {
		return fmt.Errorf("%d veths are there, want %d: %s", len(found), count, ports)
	}
	return nil
}

// loaded returns the programs that the pinned rulesets hold.
func loaded(t *testing.T, m *machine.Machine) (ids []ebpf.ProgramID) {
	t.Helper()
	pins, _ := filepath.Glob(m.File(stateFolder + "/rulesets/*/*"))
	for _, pin := range pins {
		program, err := ebpf.LoadPinnedProgram(pin, nil)
		if err != nil {
			continue // a map or a folder
		}
		info, err := program.Info()
		program.Close()
		must(t, err)
		id, _ := info.ID()
		ids = append(ids, id)
	}
	return ids
}

// wantNothing wants the state gone, and the programs with it: one that is
// attached anywhere, or pinned, or held by a process, still is in the kernel.
func wantNothing(t *testing.T, m *machine.Machine, programs []ebpf.ProgramID) {
	t.Helper()
	wantAttachments(t, m, 0)
	if _, err := os.Stat(m.File(stateFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", stateFolder, err)
	}
	for _, id := range programs {
		// The kernel frees programs some time later.
		if err := eventually(func() error { return gone(id) }); err != nil {
			t.Error(err)
		}
	}
}

func gone(id ebpf.ProgramID) error {
	program, err := ebpf.NewProgramFromID(id)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	program.Close()
	return errors.Join(fmt.Errorf("the program %d is still loaded", id), err)
}
