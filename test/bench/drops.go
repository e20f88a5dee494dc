package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
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
