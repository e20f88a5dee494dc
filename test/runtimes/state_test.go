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

// attachments returns the folders of the attachments.
func attachments(m *machine.Machine) []string {
	found, _ := filepath.Glob(m.File(stateFolder + "/rulesets/*/attachments/*/*/*")) // the pattern is good
	return found
}

// wantAttachments expects count attached containers and as many host sides of veths. If the container's process
// ends before DEL, the path of its namespace is gone, and the kernel removes the veth some time later.
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

// loaded returns the programs of the pinned rulesets.
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

// wantNothing expects no state, and no programs: a program that is attached or pinned, or that a process holds,
// is still in the kernel.
func wantNothing(t *testing.T, m *machine.Machine, programs []ebpf.ProgramID) {
	t.Helper()
	wantAttachments(t, m, 0)
	if _, err := os.Stat(m.File(stateFolder)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%s is still there (%v)", stateFolder, err)
	}
	for _, id := range programs {
		// The kernel frees programs some time after.
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
