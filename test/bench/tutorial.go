package main

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"
)

// addTutorial does what tutorials teach: an XDP program writes the new port into UDP packets and ignores
// checksums, replies and fragments. It is attached without a mode, so native. TCP would not work, so
// the program passes it unchanged.
func addTutorial(w *world) error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "tutorial", Type: ebpf.XDP, License: "Dual BSD/GPL", Instructions: tutorialProgram(),
	})
	if err != nil {
		return fmt.Errorf("load the tutorial's program: %w", err)
	}
	defer program.Close()
	w.rewrites = true
	return w.node.NS.Do(func(ns.NetNS) error {
		l, err := link.AttachXDP(link.XDPOptions{Program: program, Interface: w.host.Attrs().Index})
		if err != nil {
			return fmt.Errorf("attach the tutorial's program: %w", err)
		}
		w.undo = append(w.undo, l.Close)
		return nil
	})
}

func tutorialProgram() asm.Instructions {
	return asm.Instructions{
		asm.Mov.Imm(asm.R0, 2),                   // XDP_PASS
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // data_end
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, headers),
		asm.JGT.Reg(asm.R4, asm.R3, "out"),
		asm.LoadMem(asm.R4, asm.R2, etherType, asm.Half),
		asm.JNE.Imm(asm.R4, onTheWire(unix.ETH_P_IP), "out"),
		asm.LoadMem(asm.R4, asm.R2, ipProtocol, asm.Byte),
		asm.JNE.Imm(asm.R4, unix.IPPROTO_UDP, "out"),
		asm.LoadMem(asm.R4, asm.R2, destination, asm.Half),
		asm.JNE.Imm(asm.R4, onTheWire(asked), "out"),
		asm.StoreImm(asm.R2, destination, int64(onTheWire(answered)), asm.Half),
		asm.Return().WithSymbol("out"),
	}
}
