package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/node"
)

const operationRounds = 60

// Contenders of ADD and DEL.
const (
	floorPlugin     = "tuning"
	portmapIPTables = "portmap, iptables"
	portmapNFTables = "portmap, nftables"
	ownClsact       = "xdp-port, clsact"
	ownTCX          = "xdp-port, tcx"
	ownTC           = "xdp-port, tc, clsact"
	manyRules       = ", 1024 rules"
	firstOne        = ", the first one"
	tcxWait         = "(the kernel's wait for two tcx links)"
)

// operations compares ADD and DEL as whole processes, of a container with loaded rules, except
// for the contenders called first.
func operations(b *bench) error {
	v := &operationBench{bench: b}
	if err := v.setUp(); err != nil {
		return err
	}
	if err := b.takeTurns(b.less(operationRounds), v.inTurn()); err != nil {
		return err
	}
	floor := find(v.adds, floorPlugin)
	b.report(result.Table{
		Name: "add", Title: "ADD, as a whole process", Unit: "ms",
		Note: "One rule or one mapping, unless stated; the ruleset is loaded, except for the first one.",
	}, append(v.adds[:len(v.adds):len(v.adds)], v.wait), floor)
	b.report(result.Table{Name: "del", Title: "DEL, as a whole process", Unit: "ms"}, v.dels, find(v.dels, floorPlugin))
	b.claimOperation("ADD", v.adds)
	b.claimOperation("DEL", v.dels)
	return nil
}

func (b *bench) claimOperation(operation string, contenders []*contender) {
	c := func(name string) *contender { return find(contenders, name) }
	for _, own := range []string{ownClsact, ownTC} {
		b.claim(result.Claim{What: own + ": " + operation + ", relative to tuning", Bound: 2.5}, ratio(c(own), c(floorPlugin)))
		for _, portmap := range []string{portmapIPTables, portmapNFTables} {
			b.claim(result.Claim{What: own + ": " + operation + ", relative to " + portmap, Bound: 0.2}, ratio(c(own), c(portmap)))
		}
	}
	for _, portmap := range []string{portmapIPTables, portmapNFTables} {
		b.claim(result.Claim{What: ownTCX + ": " + operation + ", relative to " + portmap, Bound: 1}, ratio(c(ownTCX), c(portmap)))
	}
	for _, own := range []string{ownClsact, ownTCX} {
		b.claim(result.Claim{What: own + ": " + operation + " with 1,024 rules, relative to 1", Bound: 1.5}, ratio(c(own+manyRules), c(own)))
	}
}

// operationBench has one node for containers with loaded rulesets, and another for containers that
// are the only ones, because rulesets belong to a node.
type operationBench struct {
	*bench
	adds, dels []*contender
	wait       *contender
}

func (v *operationBench) setUp() error {
	shared, err := v.newNode()
	if err != nil {
		return err
	}
	clsactAlone, err := v.newNode()
	if err != nil {
		return err
	}
	tcxAlone, err := v.newNode()
	if err != nil {
		return err
	}
	one, many := ruleKinds[0].rules(1), ruleKinds[0].rules(1024)
	own := func(mode, hook string, rules []any) plugin {
		return xdpPortPlugin(map[string]any{"mode": mode, "tcHook": hook, "rules": rules})
	}
	for _, entry := range []struct {
		name   string
		on     *node.Node
		plugin plugin
		loaded bool
	}{
		{floorPlugin, shared, tuningPlugin(), false},
		{ownClsact, shared, own("auto", "clsact", one), true},
		{ownClsact + manyRules, shared, own("auto", "clsact", many), true},
		{ownClsact + firstOne, clsactAlone, own("auto", "clsact", one), false},
		{ownTCX, shared, own("auto", "tcx", one), true},
		{ownTCX + manyRules, shared, own("auto", "tcx", many), true},
		{ownTCX + firstOne, tcxAlone, own("auto", "tcx", one), false},
		{ownTC, shared, own("tc", "clsact", one), true},
		{portmapIPTables, shared, portmap("iptables"), false},
		{portmapNFTables, shared, portmap("nftables"), false},
	} {
		if err := v.enter(entry.name, entry.on, entry.plugin, entry.loaded); err != nil {
			return fmt.Errorf("%s: %w", entry.name, err)
		}
	}
	return v.enterWait(shared)
}

// tuningPlugin does about the minimum that a plugin can do in a container.
func tuningPlugin() plugin {
	return plugin{"tuning", map[string]any{"sysctl": map[string]any{"net.core.somaxconn": "500"}}}
}

func portmap(backend string) plugin {
	return plugin{"portmap", map[string]any{
		"backend":       backend,
		"runtimeConfig": map[string]any{"portMappings": []any{map[string]any{"hostPort": asked, "containerPort": answered, "protocol": "udp"}}},
	}}
}

// enter makes a contender that measures ADD and DEL in turns. If loaded is set, another container has
// the same rules all the time.
func (v *operationBench) enter(name string, on *node.Node, plugin plugin, loaded bool) error {
	add, del := &contender{name: name}, &contender{name: name}
	v.adds, v.dels = append(v.adds, add), append(v.dels, del)
	p, err := v.newPod(on, name == portmapIPTables)
	if err != nil {
		return err
	}
	if loaded {
		companion, err := v.newPod(on, false)
		if err != nil {
			return err
		}
		if _, err := companion.add(plugin); err != nil {
			return err
		}
	}
	add.sample = process(func() (time.Duration, error) { return p.add(plugin) })
	del.sample = process(func() (time.Duration, error) {
		took, err := p.del()
		return took, errors.Join(err, p.untilDetached())
	})
	return nil
}

// untilDetached waits until the kernel has completed the detachment that DEL began. The kernel does so when it
// has time, and holds the lock of all network devices meanwhile, so the next turn would wait for it.
func (p *pod) untilDetached() error {
	for deadline := time.Now().Add(node.ToolTimeout); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var left []ebpf.ProgramID
		err := p.node.NS.Do(func(ns.NetNS) (err error) {
			left, err = node.TCPrograms(p.host)
			return err
		})
		if err != nil || len(left) == 0 {
			return err
		}
	}
	return fmt.Errorf("programs are attached %s after DEL", node.ToolTimeout)
}

// enterWait measures what no plugin can change: for each tcx link the kernel waits for an RCU grace
// period.
func (v *operationBench) enterWait(on *node.Node) error {
	p, err := v.newPod(on, false)
	if err != nil {
		return err
	}
	program, err := tcHook.emptyProgram()
	if err != nil {
		return err
	}
	v.wait = &contender{name: tcxWait, sample: func() (float64, error) {
		var took time.Duration
		err := on.NS.Do(func(ns.NetNS) error {
			start := time.Now()
			for _, side := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
				l, err := link.AttachTCX(link.TCXOptions{Interface: p.host.Attrs().Index, Program: program, Attach: side})
				if err != nil {
					return err
				}
				defer l.Close()
			}
			took = time.Since(start)
			return nil
		})
		return milliseconds(took), err
	}}
	return nil
}

// inTurn returns each ADD followed by its DEL.
func (v *operationBench) inTurn() []*contender {
	var all []*contender
	for i := range v.adds {
		all = append(all, v.adds[i], v.dels[i])
	}
	return append(all, v.wait)
}

const startupRounds = 100

// startup compares the time to start a plugin that has almost nothing to do.
func startup(b *bench) error {
	n, err := b.newNode()
	if err != nil {
		return err
	}
	p, err := b.newPod(n, false)
	if err != nil {
		return err
	}
	var contenders []*contender
	for _, name := range []string{"portmap", "tuning", "xdp-port"} {
		contenders = append(contenders, &contender{name: name, sample: process(func() (time.Duration, error) {
			return p.call(plugin{path: name}, "VERSION")
		})})
	}
	if err := b.takeTurns(b.less(startupRounds), contenders); err != nil {
		return err
	}
	own, portmap := find(contenders, "xdp-port"), find(contenders, "portmap")
	b.report(result.Table{
		Name: "startup", Title: "VERSION, as a whole process", Unit: "ms",
	}, contenders, portmap)
	b.claim(result.Claim{What: "answering VERSION, relative to portmap", Bound: 1.2}, ratio(own, portmap))
	return nil
}
