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
	floor := &contender{name: "an empty program"}
	contenders := []*contender{floor}
	var pods []*pod
	for _, kind := range ruleKinds {
		for _, count := range ruleCounts {
			p, err := b.newPod(n, false)
			if err != nil {
				return err
			}
			pods = append(pods, p)
			c := &contender{name: ruleCount(count, kind)}
			contenders = append(contenders, c)
			_, err = p.add(xdpPortPlugin(map[string]any{"mode": mode, "tcHook": "auto", "rules": kind.rules(count)}))
			if err != nil {
				return err
			}
			program, err := hook.attachedProgram(p)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if c.sample, err = b.runner(hook, p, program); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	empty, err := hook.emptyProgram()
	if err != nil {
		return err
	}
	if floor.sample, err = b.runner(hook, pods[0], empty); err != nil {
		return err
	}
	if err := b.takeTurns(b.less(lookupRounds), contenders); err != nil {
		return err
	}
	b.report(result.Table{
		Name: "lookup-" + mode, Title: "Rules: " + title + ", IPv4 UDP that a two-way rule matches", Unit: "ns per packet", Added: true,
		Note: "BPF_PROG_RUN of a small program that restores the packet and calls the measured one.",
	}, contenders, floor)
	for _, kind := range ruleKinds {
		few, many := find(contenders, ruleCount(1, kind)), find(contenders, ruleCount(1024, kind))
		b.claim(result.Claim{
			What: fmt.Sprintf("%s, %s: the program with 1,024 rules, relative to 1", mode, kind.name), Bound: 1.3,
		}, addedRatio(many, few, floor))
	}
	first := find(contenders, ruleCount(1, ruleKinds[0]))
	b.claim(result.Claim{
		What: mode + ": the program itself, IPv4 UDP with flow tracking, over an empty one", Bound: 60, Unit: "ns",
	}, first.samples.Minus(floor.samples).Spread())
	return nil
}

func ruleCount(count int, kind ruleKind) string {
	return fmt.Sprintf("%s, %d", kind.name, count)
}
