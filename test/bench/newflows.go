package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/bench/internal/traffic"
)

// Flows of this comparison: ports of the container times addresses, a million in all.
const (
	sprayPorts     = 1000
	sprayAddresses = 1000
	sprayFirstPort = 20000
	sprayRounds    = 39 // and one to warm up
)

// autoManyFlows has room for as many flows as nft here.
const autoManyFlows = "xdp-port, auto, flows 1048576"

// newFlows compares the cost of the first packet of a flow.
func newFlows(b *bench) error {
	restore, err := roomInConntrack(2*sprayPorts*sprayAddresses, 2*sprayPorts*sprayAddresses)
	if err != nil {
		return err
	}
	b.later(restore)
	all, err := b.worlds(nothing, auto, native, tc, nft, iptables)
	if err != nil {
		return err
	}
	many, err := b.world(autoManyFlows, xdpPort("auto", "auto", map[string]any{"flows": 1 << 20}))
	if err != nil {
		return err
	}
	all = append(all, many)
	rounds := b.less(sprayRounds)
	perRound := b.lessWork(sprayPorts * sprayAddresses / (1 + sprayRounds))
	var senders []*sendingContender
	for _, w := range all {
		if w.name == nft || w.name == iptables {
			if err := keepConntrack(w); err != nil {
				return err
			}
		}
		spray, err := traffic.NewSpray(w.NS, sprayFirstPort, sprayPorts, sprayAddressList(), asked)
		if err != nil {
			return err
		}
		b.later(spray.Close)
		senders = append(senders, b.sending(w.name, w, asked, perRound, spray.Send))
	}
	contenders := asContenders(senders)
	if err := b.takeTurns(rounds, contenders); err != nil {
		return err
	}
	base := find(contenders, nothing)
	b.report(result.Table{
		Name: "new-flows", Title: fmt.Sprintf("A small UDP packet that begins a flow, %d flows in all", perRound*(b.warmUps+rounds)),
		Unit: "ns per packet", Added: true, Note: addedNote,
	}, contenders, base)
	b.reportCycles("new-flows", senders)
	dnat := find(contenders, nft)
	for _, name := range []string{auto, tc} {
		c := find(contenders, name)
		b.claim(result.Claim{
			What: name + ": overhead for the first packet of a flow, relative to nft DNAT", Bound: 0.4,
		}, addedRatio(c, dnat, base))
	}
	return nil
}

func sprayAddressList() []netip.Addr {
	addresses := make([]netip.Addr, sprayAddresses)
	next := behindFar.Addr().Next()
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
		if err := setSysctl(path, strconv.Itoa(variable.least)); err != nil {
			return nil, errors.Join(err, restore())
		}
		undo = append(undo, func() error { return setSysctl(path, before) })
	}
	return restore, nil
}
