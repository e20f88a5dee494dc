package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"slices"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
)

// Names of the ways to rewrite a port.
const (
	nothing    = "nothing attached"
	auto       = "xdp-port, auto"
	autoClsact = "xdp-port, auto, clsact"
	native     = "xdp-port, native"
	tc         = "xdp-port, tc"
	tcClsact   = "xdp-port, tc, clsact"
	// Builds without tracing show what tracing costs while no trace runs.
	autoWithoutTracing = "(xdp-port, auto, built without tracing)"
	tcWithoutTracing   = "(xdp-port, tc, built without tracing)"
	nft                = "nft DNAT"
	iptables           = "iptables-nft DNAT"
	tutorial           = "the tutorial's XDP"
	// Programs that do nothing show what any program at the hook costs.
	emptyXDP  = "(an empty XDP program, generic)"
	emptyBoth = "(the same, and an empty tc program)"
	emptyTC   = "(an empty tc program)"
)

// setups are the ways to rewrite a port. Each changes a world without attachments.
var setups = []struct {
	name string
	add  func(*world) error
}{
	{nothing, func(*world) error { return nil }},
	{auto, xdpPort("auto", "auto", nil)},
	{autoClsact, xdpPort("auto", "clsact", nil)},
	{native, xdpPort("native", "auto", nil)},
	{tc, xdpPort("tc", "auto", nil)},
	{tcClsact, xdpPort("tc", "clsact", nil)},
	{autoWithoutTracing, withoutTracing("auto")},
	{tcWithoutTracing, withoutTracing("tc")},
	{nft, addNFT},
	{iptables, addIPTables},
	{tutorial, addTutorial},
	{emptyXDP, addEmpty(&xdpHook)},
	{emptyBoth, addEmpty(&xdpHook, &tcHook)},
	{emptyTC, addEmpty(&tcHook)},
}

// worlds makes a machine for each of the names, or for all.
func (b *bench) worlds(names ...string) (all []*world, err error) {
	for _, setup := range setups {
		if len(names) > 0 && !slices.Contains(names, setup.name) {
			continue
		}
		w, err := b.world(setup.name, setup.add)
		if err != nil {
			return nil, err
		}
		all = append(all, w)
	}
	return all, nil
}

// world makes a machine and sets it up.
func (b *bench) world(name string, add func(*world) error) (*world, error) {
	w, err := b.newWorld(name)
	if err != nil {
		return nil, fmt.Errorf("make the world of %s: %w", name, err)
	}
	if err := add(w); err != nil {
		return nil, fmt.Errorf("set up %s: %w", name, err)
	}
	for _, undo := range w.undo {
		b.later(undo)
	}
	return w, nil
}

func xdpPort(mode, hook string, more map[string]any) func(*world) error {
	return func(w *world) error {
		options := map[string]any{"mode": mode, "tcHook": hook, "rules": portRules()}
		for key, value := range more {
			options[key] = value
		}
		return w.addXDPPort(options)
	}
}

func withoutTracing(mode string) func(*world) error {
	return func(w *world) error {
		w.rewrites = true
		_, err := w.add(plugin{"xdp-port-without-tracing", map[string]any{"mode": mode, "rules": portRules()}})
		return err
	}
}

func addNFT(w *world) error {
	w.rewrites, w.tcp = true, true
	var tables strings.Builder
	for _, family := range []string{"ip", "ip6"} {
		fmt.Fprintf(&tables, `
table %[1]s bench {
	chain prerouting {
		type nat hook prerouting priority dstnat;
		udp dport %[2]d dnat to :%[3]d
		tcp dport %[2]d dnat to :%[3]d
	}
}`, family, asked, answered)
	}
	return onNode(w, tables.String(), "nft", "-f", "-")
}

func addIPTables(w *world) error {
	w.rewrites, w.tcp = true, true
	for _, program := range []string{"iptables-nft", "ip6tables-nft"} {
		for _, protocol := range []string{"udp", "tcp"} {
			err := onNode(w, "", program, "-w", "-t", "nat", "-A", "PREROUTING", "-p", protocol,
				"--dport", fmt.Sprint(asked), "-j", "DNAT", "--to-destination", fmt.Sprint(":", answered))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// onNode runs a program on the world's node.
func onNode(w *world, stdin, name string, args ...string) error {
	_, err := outputOnNode(w, stdin, name, args...)
	return err
}

// outputOnNode does the same and returns the program's stdout.
func outputOnNode(w *world, stdin, name string, args ...string) ([]byte, error) {
	var stdout, stderr bytes.Buffer
	command := exec.Command(name, args...)
	command.Stdin, command.Stdout, command.Stderr = bytes.NewBufferString(stdin), &stdout, &stderr
	if err := node.Run(w.node.NS, command, node.ToolTimeout); err != nil {
		return nil, fmt.Errorf("%s: %w: %s%s", command, err, stdout.Bytes(), stderr.Bytes())
	}
	return stdout.Bytes(), nil
}

// keepConntrack makes the entries of a world's flows last as long as the bench.
func keepConntrack(w *world) error {
	return w.node.NS.Do(func(ns.NetNS) error {
		return node.SetSysctl("net/netfilter/nf_conntrack_udp_timeout", "3600")
	})
}

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
