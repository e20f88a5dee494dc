package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

const dropRounds = 30

// Contenders that drop packets.
const (
	autoOnlyDrops = "xdp-port, auto, rules that only drop"
	autoAlsoDrops = "xdp-port, auto, rules that also rewrite"
	nativeDrops   = "xdp-port, native, rules that only drop"
	tcOnlyDrops   = "xdp-port, tc, rules that only drop"
	tcAlsoDrops   = "xdp-port, tc, rules that also rewrite"
	nftIngress    = "nft, netdev ingress"
	nftRaw        = "nft, raw prerouting"
	xdpDrops      = "(an XDP program that drops, generic)"
	tcDrops       = "(a tc program that drops)"
)

// dropSetups are the ways to drop packets to blocked. All count them.
var dropSetups = []struct {
	name string
	add  func(*world) (counted func() (uint64, error), err error)
}{
	{autoOnlyDrops, xdpPortDrop("auto")},
	{autoAlsoDrops, xdpPortDrop("auto", portRules()...)},
	{nativeDrops, xdpPortDrop("native")},
	{tcOnlyDrops, xdpPortDrop("tc")},
	{tcAlsoDrops, xdpPortDrop("tc", portRules()...)},
	{nftIngress, addNFTDrop("netdev", `hook ingress device "%s" priority 0`)},
	{nftRaw, addNFTDrop("inet", `hook prerouting priority raw`)},
	{xdpDrops, addDropProgram(&xdpHook)},
	{tcDrops, addDropProgram(&tcHook)},
}

// drops compares the cost of a datagram that is dropped. Most of it is the sender's.
func drops(b *bench) error {
	var all []*droppingWorld
	for _, setup := range dropSetups {
		d := &droppingWorld{}
		var err error
		d.world, err = b.world(setup.name, func(w *world) error {
			d.counted, err = setup.add(w)
			return err
		})
		if err != nil {
			return err
		}
		all = append(all, d)
	}
	contenders := map[*family][]*contender{}
	for _, f := range families {
		for _, d := range all {
			send, err := b.newSender(d.world, f, blocked, 1)
			if err != nil {
				return err
			}
			contenders[f] = append(contenders[f], b.dropping(d, f, send))
		}
	}
	if err := b.takeTurns(b.less(dropRounds), slices.Concat(contenders[ipv4], contenders[ipv6])); err != nil {
		return err
	}
	for _, d := range all {
		if err := d.checkCounted(); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	for _, f := range families {
		b.report(result.Table{
			Name: "drops" + f.suffix, Title: "A small UDP packet that is dropped, sent one by one, " + f.name, Unit: "ns per packet",
			Note: "Busy time of the sender's core. Each contender counts the packets that it drops.",
		}, contenders[f], find(contenders[f], nftIngress))
		b.claimDrops(f, contenders[f])
	}
	return nil
}

// droppingWorld is a world that drops packets to blocked.
type droppingWorld struct {
	*world
	// counted returns the number of packets that the rule has dropped.
	counted func() (uint64, error)
	sent    uint64
}

// dropping makes a contender that sends packets, and checks that none arrives.
func (b *bench) dropping(d *droppingWorld, f *family, send func(int) error) *contender {
	count := b.lessWork(datagramsARound)
	return &contender{name: d.name, sample: func() (float64, error) {
		cost, err := b.core.Do(func() error { return send(count) })
		if err != nil {
			return 0, err
		}
		d.sent += uint64(count)
		time.Sleep(arrivalTime)
		arrived, err := d.sink.Arrived(blocked, f.isIPv6())
		if err == nil && arrived > 0 {
			err = fmt.Errorf("%d %s packets to port %d arrived, although a rule drops them", arrived, f.name, blocked)
		}
		return float64(cost.CPU.Nanoseconds()) / float64(count), err
	}}
}

// checkCounted compares the rule's counter with the number of sent packets: nothing else dropped them.
// ksoftirqd may be late, and the kernel may drop packets before the rule.
func (d *droppingWorld) checkCounted() error {
	for deadline := time.Now().Add(pace.Patience(arrivalPatience)); ; time.Sleep(10 * time.Millisecond) {
		counted, err := d.counted()
		switch missing := int(d.sent - counted); {
		case err != nil:
			return fmt.Errorf("read the rule's counter: %w", err)
		case missing >= 0 && missing <= int(d.sent)*toleratedPerMill/1000:
			return nil
		case missing < 0 || time.Now().After(deadline):
			return fmt.Errorf("the rule has dropped %d packets of %d", counted, d.sent)
		}
	}
}

func (b *bench) claimDrops(f *family, contenders []*contender) {
	for _, asks := range []struct {
		name  string
		bound float64
	}{{tcOnlyDrops, 1.02}, {tcAlsoDrops, 1.02}, {autoOnlyDrops, 1.05}, {autoAlsoDrops, 1.12}} {
		b.claim(result.Claim{
			What: fmt.Sprintf("%s: a dropped packet, %s, relative to nft's netdev ingress", asks.name, f.name), Bound: asks.bound,
		}, ratio(find(contenders, asks.name), find(contenders, nftIngress)))
	}
}

const dropRule = "dropped"

// xdpPortDrop drops by a rule of the plugin, in front of more rules.
func xdpPortDrop(mode string, more ...any) func(*world) (func() (uint64, error), error) {
	return func(w *world) (func() (uint64, error), error) {
		drop := map[string]any{"protocol": "udp", "port": blocked, "action": "drop", "name": dropRule}
		err := w.addXDPPort(map[string]any{"mode": mode, "rules": append([]any{drop}, more...)})
		return w.countedByTool, err
	}
}

// countedByTool reads the counter of the rule that drops.
func (w *world) countedByTool() (uint64, error) {
	bin, err := node.BinDir()
	if err != nil {
		return 0, err
	}
	output, err := outputOnNode(w, "", filepath.Join(bin, "xdp-portctl"), "show", "-o", "json", w.PluginID())
	if err != nil {
		return 0, err
	}
	var shown struct {
		Attachments []struct {
			Rules []struct {
				Name    string
				Packets uint64
			}
		}
	}
	if err := json.Unmarshal(output, &shown); err != nil {
		return 0, fmt.Errorf("parse the output of xdp-portctl show: %w", err)
	}
	for _, attachment := range shown.Attachments {
		for _, rule := range attachment.Rules {
			if rule.Name == dropRule {
				return rule.Packets, nil
			}
		}
	}
	return 0, fmt.Errorf("xdp-portctl shows no rule %s", dropRule)
}

// addNFTDrop drops by a rule of nft. The hook may contain the name of the host side.
func addNFTDrop(family, hook string) func(*world) (func() (uint64, error), error) {
	return func(w *world) (func() (uint64, error), error) {
		if family == "netdev" {
			hook = fmt.Sprintf(hook, w.host.Attrs().Name)
		}
		table := fmt.Sprintf("table %s bench {\n chain drops {\n type filter %s\n udp dport %d counter drop\n }\n}", family, hook, blocked)
		counted := func() (uint64, error) { return countedByNFT(w, family) }
		return counted, onNode(w, table, "nft", "-f", "-")
	}
}

func countedByNFT(w *world, family string) (uint64, error) {
	output, err := outputOnNode(w, "", "nft", "-j", "list", "table", family, "bench")
	if err != nil {
		return 0, err
	}
	var listed struct {
		NFTables []struct {
			Rule struct {
				Expr []struct {
					Counter *struct{ Packets uint64 }
				}
			}
		}
	}
	if err := json.Unmarshal(output, &listed); err != nil {
		return 0, fmt.Errorf("parse the output of nft: %w", err)
	}
	for _, object := range listed.NFTables {
		for _, expression := range object.Rule.Expr {
			if expression.Counter != nil {
				return expression.Counter.Packets, nil
			}
		}
	}
	return 0, errors.New("nft lists no counter")
}

// addDropProgram drops by a program that does nothing else.
func addDropProgram(hook *hookKind) func(*world) (func() (uint64, error), error) {
	return func(w *world) (func() (uint64, error), error) {
		counter, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: 1})
		if err != nil {
			return nil, fmt.Errorf("make a counter: %w", err)
		}
		w.undo = append(w.undo, counter.Close)
		program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Name: "drops", Type: hook.kind, License: "Dual BSD/GPL", Instructions: hook.dropInstructions(counter),
		})
		if err != nil {
			return nil, fmt.Errorf("load a program that drops: %w", err)
		}
		defer program.Close()
		counted := func() (total uint64, err error) {
			var each []uint64
			err = counter.Lookup(uint32(0), &each)
			for _, packets := range each {
				total += packets
			}
			return total, err
		}
		return counted, hook.attachIn(w, program)
	}
}

// dropInstructions drop UDP packets to blocked, and count them.
func (h *hookKind) dropInstructions(counter *ebpf.Map) asm.Instructions {
	return asm.Instructions{
		asm.LoadMem(asm.R2, asm.R1, int16(h.data), asm.Word),
		asm.LoadMem(asm.R3, asm.R1, int16(h.dataEnd), asm.Word),
		asm.Mov.Reg(asm.R4, asm.R2),
		asm.Add.Imm(asm.R4, headers),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
		asm.LoadMem(asm.R4, asm.R2, etherType, asm.Half),
		asm.JEq.Imm(asm.R4, onTheWire(unix.ETH_P_IPV6), "ipv6"),
		asm.JNE.Imm(asm.R4, onTheWire(unix.ETH_P_IP), "pass"),
		asm.LoadMem(asm.R4, asm.R2, ipProtocol, asm.Byte),
		asm.JNE.Imm(asm.R4, unix.IPPROTO_UDP, "pass"),
		asm.LoadMem(asm.R4, asm.R2, destination, asm.Half),
		asm.Ja.Label("udp"),
		asm.Mov.Reg(asm.R4, asm.R2).WithSymbol("ipv6"),
		asm.Add.Imm(asm.R4, headersIPv6),
		asm.JGT.Reg(asm.R4, asm.R3, "pass"),
		asm.LoadMem(asm.R4, asm.R2, nextHeader, asm.Byte),
		asm.JNE.Imm(asm.R4, unix.IPPROTO_UDP, "pass"),
		asm.LoadMem(asm.R4, asm.R2, destinationIPv6, asm.Half),
		asm.JNE.Imm(asm.R4, onTheWire(blocked), "pass").WithSymbol("udp"),
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, counter.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.LoadMem(asm.R1, asm.R0, 0, asm.DWord),
		asm.Add.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, h.drop),
		asm.Return(),
		asm.Mov.Imm(asm.R0, h.pass).WithSymbol("pass"),
		asm.Return(),
	}
}
