package main

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/node"
)

const (
	lookupRounds = 15
	runsARound   = 100_000
)

var ruleCounts = []int{1, 64, 1024}

const (
	emptyProgram = "an empty program"
	runNote      = "BPF_PROG_RUN of a small program that restores the packet and calls the measured one."
)

// lookup compares the cost of the programs with few rules and with many, without a network stack
// around them.
func lookup(b *bench) error {
	n, err := b.newNode()
	if err != nil {
		return err
	}
	return errors.Join(
		b.lookupIn(n, "auto", &xdpHook, "mode auto, the XDP program alone"),
		b.lookupIn(n, "tc", &tcHook, "mode tc, the ingress program alone"),
	)
}

func (b *bench) lookupIn(n *node.Node, mode string, hook *hookKind, title string) error {
	floor := &contender{name: emptyProgram}
	contenders := []*contender{floor}
	var first *pod
	for _, kind := range ruleKinds {
		for _, count := range ruleCounts {
			c := &contender{name: ruleCount(count, kind)}
			contenders = append(contenders, c)
			p, err := b.podWith(n, mode, kind.rules(count))
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if c.sample, err = b.attachedRunner(hook, p, newRunPacket(ipv4, asked)); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if first == nil {
				first = p
			}
		}
	}
	var err error
	if floor.sample, err = b.emptyRunner(hook, first, newRunPacket(ipv4, asked)); err != nil {
		return err
	}
	if err := b.takeTurns(b.less(lookupRounds), contenders); err != nil {
		return err
	}
	b.report(result.Table{
		Name: "lookup-" + mode, Title: "Rules: " + title + ", IPv4 UDP that a two-way rule matches", Unit: "ns per packet", Overhead: "ns",
		Note: runNote,
	}, contenders, floor)
	for _, kind := range ruleKinds {
		few, many := find(contenders, ruleCount(1, kind)), find(contenders, ruleCount(1024, kind))
		b.claim(result.Claim{
			What: fmt.Sprintf("%s, %s: a run of the program with 1,024 rules, relative to 1", mode, kind.name), Bound: 1.1,
		}, ratio(many, few))
	}
	return nil
}

// podWith makes a pod under rules.
func (b *bench) podWith(n *node.Node, mode string, rules []any) (*pod, error) {
	p, err := b.newPod(n, false)
	if err != nil {
		return nil, err
	}
	_, err = p.add(xdpPortPlugin(map[string]any{"mode": mode, "tcHook": "auto", "rules": rules}))
	return p, err
}

func ruleCount(count int, kind ruleKind) string {
	return fmt.Sprintf("%s, %d", kind.name, count)
}

// ruleKind makes rulesets of any size. The rule for asked is last, so that a walk through the rules
// would show.
type ruleKind struct {
	name string
	rule func(i int, port int) map[string]any
}

var ruleKinds = []ruleKind{
	{"exact ports", func(_, port int) map[string]any {
		return map[string]any{"protocol": "udp", "port": port, "toPort": port - 1}
	}},
	{"ranges", func(_, port int) map[string]any {
		return map[string]any{
			"protocol": "udp", "port": fmt.Sprintf("%d-%d", port, port+9), "toPort": fmt.Sprintf("%d-%d", port+20000, port+20009),
		}
	}},
	{"with cidrs", func(_, port int) map[string]any {
		return map[string]any{
			"protocol": "udp", "port": port, "toPort": port - 1,
			"cidrs": []any{"169.254.20.10/32", "10.98.0.0/15", "fd00::a/128", "fd00:99::/64"},
		}
	}},
	{"one port, a cidr each", func(i, _ int) map[string]any {
		if i == 0 {
			return map[string]any{"protocol": "udp", "port": asked, "toPort": answered, "cidrs": []any{"10.98.0.0/15", "fd00:99::/64"}}
		}
		return map[string]any{
			"protocol": "udp", "port": asked, "toPort": 5000 + i,
			"cidrs": []any{fmt.Sprintf("10.%d.%d.0/24", 100+i/256, i%256), fmt.Sprintf("fd00:%x::/64", 0x100+i)},
		}
	}},
}

// rules returns count rules.
func (k ruleKind) rules(count int) []any {
	rules := make([]any, count)
	for i := range rules {
		rules[count-1-i] = k.rule(i, asked+20*i)
	}
	return rules
}
