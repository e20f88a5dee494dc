package main

import (
	"fmt"
	"time"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
)

const (
	crowdSize   = 1000
	crowdRounds = 40
)

// crowd compares a node with one attached container and one with a thousand. Those cannot take turns,
// so each is measured next to something that does not depend on the number of attachments. The
// comparison uses these ratios.
func crowd(b *bench) error {
	all, err := b.worlds(nothing, autoClsact)
	if err != nil {
		return err
	}
	c := &crowdBench{bench: b, idle: all[0], busy: all[1]}
	if c.guest, err = b.newPod(c.busy.node, false); err != nil {
		return err
	}
	if c.sendIdle, err = b.newSender(c.idle, ipv4, asked, 1); err != nil {
		return err
	}
	if c.sendBusy, err = b.newSender(c.busy, ipv4, asked, 1); err != nil {
		return err
	}
	alone, err := c.measure("1 attached")
	if err != nil {
		return err
	}
	size := b.less(crowdSize)
	if err := c.grow(size); err != nil {
		return err
	}
	crowded, err := c.measure(fmt.Sprint(size, " attached"))
	if err != nil {
		return err
	}
	c.reportCrowd(size, alone, crowded)
	return nil
}

// crowdBench has a world without attachments and one with a crowd.
type crowdBench struct {
	*bench
	idle, busy         *world
	guest              *pod
	sendIdle, sendBusy func(int) error
}

// crowdSample is the measurements with a number of attachments.
type crowdSample struct {
	floor, add, del *contender // one process each
	idle, busy      *contender // one packet each
}

// crowdPlugin has the rules of the crowd's world.
func crowdPlugin() plugin {
	return xdpPortPlugin(map[string]any{"mode": "auto", "tcHook": "clsact", "rules": portRules()})
}

func (c *crowdBench) grow(size int) error {
	for range size - 1 {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		p, err := c.newPod(c.busy.node, false)
		if err != nil {
			return err
		}
		if _, err := p.add(crowdPlugin()); err != nil {
			return err
		}
	}
	return nil
}

func (c *crowdBench) measure(suffix string) (*crowdSample, error) {
	operation := func(name string, run func() (time.Duration, error)) *contender {
		return &contender{name: name + ", " + suffix, sample: process(run)}
	}
	s := &crowdSample{
		floor: operation("tuning's ADD", func() (time.Duration, error) { return c.guest.call(tuningPlugin(), "ADD") }),
		add:   operation("ADD", func() (time.Duration, error) { return c.guest.add(crowdPlugin()) }),
		del:   operation("DEL", c.guest.del),
	}
	packets := c.lessWork(datagramsARound)
	s.idle = &c.sending(nothing+", "+suffix, c.idle, ipv4, asked, packets, c.sendIdle).contender
	s.busy = &c.sending("through one container, "+suffix, c.busy, ipv4, asked, packets, c.sendBusy).contender
	return s, c.takeTurns(c.less(crowdRounds), []*contender{s.floor, s.add, s.del, s.idle, s.busy})
}

func (c *crowdBench) reportCrowd(size int, alone, crowded *crowdSample) {
	c.report(result.Table{
		Name: "crowd-operations", Title: "ADD and DEL next to many attached containers (clsact)", Unit: "ms",
	}, []*contender{alone.floor, alone.add, alone.del, crowded.floor, crowded.add, crowded.del}, nil)
	c.report(result.Table{
		Name: "crowd-packets", Title: "A small UDP packet next to many attached containers (clsact)", Unit: "ns per packet",
	}, []*contender{alone.idle, alone.busy, crowded.idle, crowded.busy}, nil)
	compare := func(what string, of func(*crowdSample) (measured, beside *contender)) {
		before, besideBefore := of(alone)
		after, besideAfter := of(crowded)
		c.claim(result.Claim{What: fmt.Sprintf("%s at %d attached containers, relative to 1", what, size), Bound: 1.2}, after.samples.Over(besideAfter.samples).OverMedian(before.samples.Over(besideBefore.samples)).Spread())
	}
	compare("ADD", func(s *crowdSample) (*contender, *contender) { return s.add, s.floor })
	compare("DEL", func(s *crowdSample) (*contender, *contender) { return s.del, s.floor })
	compare("a packet", func(s *crowdSample) (*contender, *contender) { return s.busy, s.idle })
}
