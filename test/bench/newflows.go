package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/bench/internal/traffic"
	"github.com/xdp-port/xdp-port/test/node"
)

// Flows of each contender: ports of the container times addresses, a million in all.
const (
	sprayPorts     = 1000
	sprayAddresses = 1000
	sprayFirstPort = 20000
	sprayRounds    = 39 // and one to warm up
)

// trackedWorlds have connection tracking, which keeps the flows of all in one hash table.
const trackedWorlds = 3

// autoManyFlows has room for as many flows as nft here.
const autoManyFlows = "xdp-port, auto, flows 1048576"

// newFlows compares the cost of the first packet of a flow. The families do not share a world, and
// thereby tables of flows.
func newFlows(b *bench) error {
	restore, err := roomInConntrack(2*sprayPorts*sprayAddresses, trackedWorlds*sprayPorts*sprayAddresses)
	if err != nil {
		return err
	}
	b.later(restore)
	perRound := b.lessWork(sprayPorts * sprayAddresses / (1 + sprayRounds))
	senders := map[*family][]*sendingContender{}
	for _, f := range families {
		if senders[f], err = b.spraying(f, perRound); err != nil {
			return err
		}
	}
	rounds := b.less(sprayRounds)
	if err := b.takeTurns(rounds, asContenders(slices.Concat(senders[ipv4], senders[ipv6]))); err != nil {
		return err
	}
	for _, f := range families {
		contenders := asContenders(senders[f])
		b.report(result.Table{
			Name:  "new-flows" + f.suffix,
			Title: fmt.Sprintf("A small UDP packet that begins a flow, %d flows in all, %s", perRound*(b.warmUps+rounds), f.name),
			Unit:  "ns per packet", Overhead: "ns", Note: busyNote,
		}, contenders, find(contenders, nothing))
		b.reportCycles("new-flows"+f.suffix, senders[f])
		for _, name := range []string{auto, tc} {
			b.claim(result.Claim{
				What: fmt.Sprintf("%s: overhead for the first packet of a flow, %s, relative to nft DNAT", name, f.name), Bound: 0.4,
			}, overheadRatio(find(contenders, name), find(contenders, nft), find(contenders, nothing)))
		}
	}
	return nil
}

// spraying makes the contenders of a family. Each sends perRound packets in a round.
func (b *bench) spraying(f *family, perRound int) (senders []*sendingContender, err error) {
	names := []string{nothing, auto, native, tc, nft}
	if f == ipv4 {
		names = append(names, iptables)
	}
	all, err := b.worlds(names...)
	if err != nil {
		return nil, err
	}
	if f == ipv4 {
		many, err := b.world(autoManyFlows, xdpPort("auto", "auto", map[string]any{"flows": 1 << 20}))
		if err != nil {
			return nil, err
		}
		all = append(all, many)
	}
	for _, w := range all {
		if w.name == nft || w.name == iptables {
			if err := keepConntrack(w); err != nil {
				return nil, err
			}
		}
		spray, err := traffic.NewSpray(w.NS, sprayFirstPort, sprayPorts, f.sprayAddresses(), asked)
		if err != nil {
			return nil, err
		}
		b.later(spray.Close)
		senders = append(senders, b.sending(w.name, w, f, asked, perRound, spray.Send))
	}
	return senders, nil
}

func (f *family) sprayAddresses() []netip.Addr {
	addresses := make([]netip.Addr, sprayAddresses)
	next := f.behindFar.Addr().Next()
	for i := range addresses {
		addresses[i] = next
		next = next.Next()
	}
	return addresses
}

// roomInConntrack makes room for entries in the connection tracking of the whole machine, which has
// one limit for all network namespaces. restore undoes that.
func roomInConntrack(entries, buckets int) (restore func() error, err error) {
	var undo []func() error
	restore = func() error {
		var errs []error
		for _, u := range undo {
			errs = append(errs, u())
		}
		return errors.Join(errs...)
	}
	for _, variable := range []struct {
		name  string
		least int
	}{{"nf_conntrack_max", entries}, {"nf_conntrack_buckets", buckets}} {
		path := "net/netfilter/" + variable.name
		text, err := os.ReadFile(filepath.Join("/proc/sys", path))
		if err != nil {
			return nil, errors.Join(fmt.Errorf("is the module nf_conntrack there? %w", err), restore())
		}
		before := strings.TrimSpace(string(text))
		if number, err := strconv.Atoi(before); err == nil && number >= variable.least {
			continue
		}
		if err := node.SetSysctl(path, strconv.Itoa(variable.least)); err != nil {
			return nil, errors.Join(err, restore())
		}
		undo = append(undo, func() error { return node.SetSysctl(path, before) })
	}
	return restore, nil
}
