package conformance

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/test/node"
)

// folder returns the folder of the interface's attachment.
func (l *line) folder(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(node.StateFolder, "rulesets", "*", "attachments", "*", l.id, l.ifname))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("found %v, want one attachment", found)
	}
	return found[0]
}

// ruleset returns the folder of the interface's ruleset.
func (l *line) ruleset(t *testing.T) string {
	t.Helper()
	return filepath.Join(l.folder(t), "../../../..")
}

// foreign is a foreign program that lets every packet pass.
func foreign(t *testing.T, kind ebpf.ProgramType, pass int32) *ebpf.Program {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "foreign", Type: kind, AttachType: attachType(kind), License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, pass), asm.Return()},
	})
	must(t, err)
	t.Cleanup(func() { program.Close() })
	return program
}

// attachType is the attach type that an update of a link compares.
func attachType(kind ebpf.ProgramType) ebpf.AttachType {
	if kind == ebpf.XDP {
		return ebpf.AttachXDP
	}
	return ebpf.AttachNone
}

const (
	xdpPass = 2
	tcNext  = -1
)

// withLink opens one of the pinned links, calls do and closes the link.
func (l *line) withLink(t *testing.T, pin string, do func(link.Link) error) {
	t.Helper()
	pinned, err := link.LoadPinnedLink(filepath.Join(l.folder(t), pin), nil)
	must(t, err)
	must(t, errors.Join(do(pinned), pinned.Close()))
}

func recreate(t *testing.T, l *line) {
	t.Helper()
	l.remove(t)
	l.make(t, 0)
}

func recreateSameIndex(t *testing.T, l *line) {
	t.Helper()
	var index int
	l.onHost(t, func(device netlink.Link) error {
		index = device.Attrs().Index
		return netlink.LinkDel(device)
	})
	l.make(t, index)
}

// unpin returns a function that removes a pin, or a folder of pins. The path is relative
// to the attachment.
func unpin(path string) func(*testing.T, *line) {
	return func(t *testing.T, l *line) {
		t.Helper()
		victim := filepath.Join(l.folder(t), path)
		if _, err := os.Stat(victim); err != nil {
			t.Fatal(err)
		}
		must(t, os.RemoveAll(victim))
	}
}

func deactivate(t *testing.T, l *line) {
	t.Helper()
	counters, err := ebpf.LoadPinnedMap(filepath.Join(l.ruleset(t), "counters"), nil)
	must(t, err)
	defer counters.Close()
	l.onHost(t, func(device netlink.Link) error { return counters.Delete(uint32(device.Attrs().Index)) })
}

// ownFilter returns our filter at one side of the host side's clsact.
func ownFilter(device netlink.Link, parent uint32) (*netlink.BpfFilter, error) {
	filters, err := netlinksafe.FilterList(device, parent)
	if err != nil {
		return nil, err
	}
	if len(filters) != 1 {
		return nil, errors.New("there should be one filter")
	}
	return filters[0].(*netlink.BpfFilter), nil
}

func (l *line) dropFilter(t *testing.T, parent uint32) {
	t.Helper()
	l.onHost(t, func(device netlink.Link) error {
		filter, err := ownFilter(device, parent)
		if err != nil {
			return err
		}
		return netlink.FilterDel(filter)
	})
}

func otherProgramInFilter(t *testing.T, l *line) {
	t.Helper()
	l.onHost(t, func(device netlink.Link) error {
		filter, err := ownFilter(device, netlink.HANDLE_MIN_INGRESS)
		if err != nil {
			return err
		}
		filter.Fd = foreign(t, ebpf.SchedCLS, tcNext).FD()
		return netlink.FilterReplace(filter)
	})
}

func dropQdisc(t *testing.T, l *line) {
	t.Helper()
	l.onHost(t, func(device netlink.Link) error {
		return netlink.QdiscDel(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: device.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		}})
	})
}
