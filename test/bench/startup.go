package main

import (
	"time"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
)

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
