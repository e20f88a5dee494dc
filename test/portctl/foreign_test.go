package portctl

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
)

// replaceXDP detaches a pinned link from a device, and attaches a program named
// stranger that passes all, until the test ends.
func replaceXDP(t *testing.T, n *node.Node, ifindex int, pin string) {
	t.Helper()
	ours, err := link.LoadPinnedLink(pin, nil)
	must(t, err)
	defer ours.Close()
	must(t, ours.Detach())
	const xdpPass = 2
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "stranger", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, xdpPass), asm.Return()},
	})
	must(t, err)
	t.Cleanup(func() { program.Close() })
	must(t, n.NS.Do(func(ns.NetNS) error {
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: ifindex, Flags: link.XDPGenericMode})
		if err == nil {
			t.Cleanup(func() { l.Close() })
		}
		return err
	}))
}

// TestPluginStaysLean wants nothing of the tool's libraries in the plugin.
func TestPluginStaysLean(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "github.com/xdp-port/xdp-port/plugin/xdp-port").Output()
	must(t, err)
	for _, library := range []string{
		"spf13/cobra", "go-pretty", "charmbracelet", "prometheus", "gopacket", "rogpeppe", "go-isatty",
		"xdp-port/pkg/inspect", "xdp-port/pkg/metrics", "xdp-port/pkg/doctor", "xdp-port/pkg/simulate",
	} {
		if strings.Contains(string(out), library) {
			t.Errorf("the plugin has %s in it", library)
		}
	}
	if !strings.Contains(string(out), "xdp-port/pkg/state") {
		t.Errorf("these are not its packages: %s", out)
	}
}
