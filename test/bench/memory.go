package main

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/test/bench/internal/memgroup"
	"github.com/xdp-port/xdp-port/test/bench/internal/result"
)

const (
	memoryRounds = 5
	memoryPods   = 40 // per round: the kernel charges in batches, so only many show what one costs
	leastPods    = 8  // enough for at least one new batch
)

// memory prints what a ruleset and a container cost the kernel, in two ways: the kernel's figures for
// each pinned map and program, and the charge of a control group with the plugin's processes, which
// includes links and files.
func memory(b *bench) error {
	var all, containers []*contender
	for _, hook := range []string{"tcx", "clsact"} {
		ruleset, container, err := b.memoryOf(hook)
		if err != nil {
			return err
		}
		all = append(append(all, ruleset...), container...)
		containers = append(containers, container...)
	}
	b.report(result.Table{
		Name: "memory", Title: "Kernel memory, one rule, room for 65,536 flows", Unit: "KiB",
		Note: "A control group is charged in batches, so its figures are good to some KiB for a container.",
	}, all, nil)
	for _, c := range containers {
		one := c.samples.Spread()
		b.claim(result.Claim{What: "kernel memory of ten times " + c.name, Bound: 64, Unit: "KiB"},
			result.Spread{Median: 10 * one.Median, Low: 10 * one.Low, High: 10 * one.High})
	}
	return nil
}

// memoryOf returns the cost of the first container, which loads the ruleset, and of each further one.
func (b *bench) memoryOf(hook string) (ruleset, container []*contender, err error) {
	n, err := b.newNode() // rulesets belong to a node
	if err != nil {
		return nil, nil, err
	}
	group, err := memgroup.New(hook)
	if err != nil {
		return nil, nil, err
	}
	b.later(group.Close)
	attach := func(count int) error {
		for range count {
			p, err := b.newPod(n, false)
			if err != nil {
				return err
			}
			p.group = group
			plugin := xdpPortPlugin(map[string]any{"mode": "auto", "tcHook": hook, "rules": ruleKinds[0].rules(1)})
			if _, err := p.add(plugin); err != nil {
				return err
			}
		}
		return nil
	}
	for _, account := range memgroup.AccountNames {
		ruleset = append(ruleset, &contender{name: fmt.Sprintf("a ruleset with its first container, %s (%s)", hook, account)})
		container = append(container, &contender{name: fmt.Sprintf("one more container, %s (%s)", hook, account)})
	}
	measure := func(to []*contender, count int) error {
		before, err := group.Accounts()
		if err != nil {
			return err
		}
		if err := attach(count); err != nil {
			return err
		}
		after, err := group.Accounts()
		for i := range to {
			to[i].samples = append(to[i].samples, (after[i]-before[i])/float64(count)/1024)
		}
		return err
	}
	if err := measure(ruleset, 1); err != nil {
		return nil, nil, err
	}
	for range b.less(memoryRounds) {
		if err := errors.Join(b.ctx.Err(), measure(container, max(leastPods, b.less(memoryPods)))); err != nil {
			return nil, nil, err
		}
	}
	return ruleset, container, nil
}
