package load

import (
	"encoding/binary"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
)

// arrivals counts the UDP datagrams over IPv4 that arrive at the far host, by destination
// port. A socket would drop some at this rate.
type arrivals struct {
	t      *testing.T
	counts *ebpf.Map
}

// countedFrom and countedTo are the first and last counted port. The program drops the
// datagrams after counting them.
const countedFrom, countedTo = 7990, 8000

func countArrivals(t *testing.T, n *node.Node) arrivals {
	t.Helper()
	counts, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1 << 16})
	must(t, err)
	t.Cleanup(func() { counts.Close() })
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "count_arrivals", Type: ebpf.XDP, License: "GPL", Instructions: counting(counts),
	})
	must(t, err)
	defer program.Close()
	must(t, n.Far.Do(func(ns.NetNS) error {
		device, err := netlinksafe.LinkByName(node.ToNode)
		if err != nil {
			return err
		}
		attached, err := link.AttachXDP(link.XDPOptions{
			Program: program, Interface: device.Attrs().Index, Flags: link.XDPGenericMode,
		})
		if err == nil {
			t.Cleanup(func() { attached.Close() })
		}
		return err
	}))
	return arrivals{t, counts}
}

func (a arrivals) at(port uint32) (count uint64) {
	a.t.Helper()
	must(a.t, a.counts.Lookup(port, &count))
	return count
}

// counting is the program. It parses Ethernet, an IPv4 header without options, and UDP.
func counting(counts *ebpf.Map) asm.Instructions {
	const pass, drop = 2, 1
	ethertype := int32(binary.NativeEndian.Uint16([]byte{8, 0}))
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, 0, asm.Word), // data
		asm.LoadMem(asm.R3, asm.R1, 4, asm.Word), // data_end
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, 14+20+8),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
		asm.LoadMem(asm.R4, asm.R2, 12, asm.Half),
		asm.JNE.Imm(asm.R4, ethertype, "pass"),
		asm.LoadMem(asm.R4, asm.R2, 14+9, asm.Byte),
		asm.JNE.Imm(asm.R4, 17, "pass"),
		asm.LoadMem(asm.R4, asm.R2, 14+20+2, asm.Half),
		asm.HostTo(asm.BE, asm.R4, asm.Half),
		asm.JLT.Imm(asm.R4, countedFrom, "pass"),
		asm.JGT.Imm(asm.R4, countedTo, "pass"),
		asm.StoreMem(asm.RFP, -4, asm.R4, asm.Word),
		asm.LoadMapPtr(asm.R1, counts.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreXAdd(asm.R0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, drop),
		asm.Return(),
		asm.Mov.Imm(asm.R0, pass).WithSymbol("pass"),
		asm.Return(),
	}
}
