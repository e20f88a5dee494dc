package main

import (
	"fmt"
	"slices"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/packet"
)

const programRounds = 30

// packetKind is a kind of packet, and how much a run may cost over an empty program.
type packetKind struct {
	name   string
	family *family
	tags   []packet.Tag
	bound  float64 // in ns
}

var (
	oneTag       = []packet.Tag{{EtherType: packet.EtherTypeVLAN, ID: 7}}
	packetKinds  = []packetKind{{"IPv4", ipv4, nil, 30}, {"IPv6", ipv6, nil, 30}}
	taggedKinds  = []packetKind{{"IPv4, one VLAN tag", ipv4, oneTag, 40}, {"IPv6, one VLAN tag", ipv6, oneTag, 40}}
	allKinds     = slices.Concat(packetKinds, taggedKinds)
	programKinds = []programKind{
		{"program-auto", "auto", &xdpHook, "auto, the XDP program", allKinds, " It leaves packets with a VLAN tag to tc ingress."},
		{"program-auto-tc", "auto", &tcHook, "auto, the tc ingress program behind XDP", taggedKinds, ""},
		{"program-tc", "tc", &tcHook, "tc, the ingress program", allKinds, ""},
	}
)

// programKind is one of the plugin's programs, with the packets that it handles.
type programKind struct {
	table, mode string
	hook        *hookKind
	words       string
	packets     []packetKind
	note        string
}

// program compares the cost of the programs for kinds of packets, without a network stack around them.
func program(b *bench) error {
	n, err := b.newNode()
	if err != nil {
		return err
	}
	for _, kind := range programKinds {
		if err := b.runProgram(n, kind); err != nil {
			return fmt.Errorf("%s: %w", kind.words, err)
		}
	}
	return nil
}

func (b *bench) runProgram(n *node.Node, kind programKind) error {
	p, err := b.podWith(n, kind.mode, portRules())
	if err != nil {
		return err
	}
	floor := &contender{name: emptyProgram}
	if floor.sample, err = b.emptyRunner(kind.hook, p, newRunPacket(ipv4, asked)); err != nil {
		return err
	}
	contenders := []*contender{floor}
	for _, of := range kind.packets {
		for _, port := range []uint16{asked, other} {
			c := &contender{name: of.name}
			if port == other {
				c.name += noMatchSuffix
			}
			if c.sample, err = b.attachedRunner(kind.hook, p, newRunPacket(of.family, port, of.tags...)); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			contenders = append(contenders, c)
		}
	}
	if err := b.takeTurns(b.less(programRounds), contenders); err != nil {
		return err
	}
	b.report(result.Table{
		Name: kind.table, Title: "The program alone: mode " + kind.words, Unit: "ns per packet", Overhead: "ns", Note: runNote + kind.note,
	}, contenders, floor)
	b.claimProgram(kind, contenders)
	return nil
}

// claimProgram bounds the slower of a match and no match.
func (b *bench) claimProgram(kind programKind, contenders []*contender) {
	floor := find(contenders, emptyProgram)
	for _, of := range kind.packets {
		slower := find(contenders, of.name).samples.Minus(floor.samples).Spread()
		if miss := find(contenders, of.name+noMatchSuffix).samples.Minus(floor.samples).Spread(); miss.Median > slower.Median {
			slower = miss
		}
		b.claim(result.Claim{
			What: fmt.Sprintf("%s alone, %s, over an empty one", kind.words, of.name), Bound: of.bound, Unit: "ns",
		}, slower)
	}
}
