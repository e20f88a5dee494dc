package portctl

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
)

// replaceXDP detaches a pinned link from a device. Until the test ends, it attaches a program
// named stranger that passes all packets.
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
