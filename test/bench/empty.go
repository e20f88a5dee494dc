package main

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"
)

// addEmpty attaches programs that do nothing to the host side. No program at these hooks costs less.
// XDP is generic.
func addEmpty(hooks ...*hookKind) func(*world) error {
	return func(w *world) error {
		for _, hook := range hooks {
			program, err := hook.emptyProgram()
			if err != nil {
				return err
			}
			defer program.Close()
			if err := hook.attachIn(w, program); err != nil {
				return err
			}
		}
		return nil
	}
}

// attachIn attaches a program to the host side of a world's container.
func (h *hookKind) attachIn(w *world, program *ebpf.Program) error {
	return w.node.NS.Do(func(ns.NetNS) error {
		l, err := h.attach(program, w.host.Attrs().Index)
		if err != nil {
			return fmt.Errorf("attach %s: %w", program, err)
		}
		w.undo = append(w.undo, l.Close)
		return nil
	})
}

// attach attaches a program to the hook where the container's packets arrive.
func (h *hookKind) attach(program *ebpf.Program, ifindex int) (link.Link, error) {
	if h.kind == ebpf.XDP {
		return link.AttachXDP(link.XDPOptions{Program: program, Interface: ifindex, Flags: link.XDPGenericMode})
	}
	return link.AttachTCX(link.TCXOptions{Program: program, Interface: ifindex, Attach: ebpf.AttachTCXIngress})
}
