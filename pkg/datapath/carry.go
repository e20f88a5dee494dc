package datapath

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// ReadCounters returns the counters of the attachment in folder, of the ruleset
// in dir, together with those that it carries from rulesets before. Returns an
// error wrapping ebpf.ErrKeyNotExist if the programs do not heed its device.
func ReadCounters(folder, dir string) (*Counters, error) {
	record, err := ReadRecord(folder)
	if err != nil {
		return nil, err
	}
	programs, err := Open(dir, Hooks{})
	if err != nil {
		return nil, err
	}
	defer programs.Close()
	return programs.Totals(record)
}

// Totals returns the counters of an attachment of this ruleset together with
// those that it carries from rulesets before. Returns an error wrapping
// ebpf.ErrKeyNotExist if the programs do not heed its device.
func (p *Programs) Totals(record *Record) (*Counters, error) {
	if err := p.checkCounters(); err != nil {
		return nil, err
	}
	enabled, err := isEnabledIn(p.maps[programsMapCounters], record.Activation())
	if err == nil && !enabled {
		err = ebpf.ErrKeyNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("read the counters of %s: %w", record.Device.Name, err)
	}
	counters, err := p.Counters(record.Device.Index)
	if err != nil {
		return nil, err
	}
	counters.add(record.Carried)
	return counters, nil
}

// add adds what was carried, whose rules are in the same order.
func (c *Counters) add(carried *Counters) {
	if carried == nil {
		return
	}
	c.Passed += carried.Passed
	c.Rewritten += carried.Rewritten
	c.Dropped += carried.Dropped
	c.RepliesRestored += carried.RepliesRestored
	c.ICMPErrorsRestored += carried.ICMPErrorsRestored
	c.Malformed += carried.Malformed
	c.PortsMoved += carried.PortsMoved
	c.PortsExhausted += carried.PortsExhausted
	c.FlowsEvicted += carried.FlowsEvicted
	c.FlowsEvictedLive += carried.FlowsEvictedLive
	for i := range min(len(c.Rules), len(carried.Rules)) {
		c.Rules[i].Packets += carried.Rules[i].Packets
		c.Rules[i].Bytes += carried.Rules[i].Bytes
	}
}

// CarryCounters returns what the attachment in folder has counted under the
// ruleset in dir, for a ruleset with other rules to go on from: a rule goes on
// from the one that had its name.
//
// Returns nil where nothing was counted yet. The programs of dir must not run
// on the device any more, or be the ones that stay; see Quiesce.
func CarryCounters(folder, dir string, next []rules.Rule) (*Counters, error) {
	counters, err := ReadCounters(folder, dir)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	byName := map[string]RuleCounter{}
	if rs, err := ReadDescription(dir); err == nil {
		for i := range min(len(rs.Rules), len(counters.Rules)) {
			byName[rs.Rules[i].Name] = counters.Rules[i]
		}
	}
	counters.Rules = make([]RuleCounter, len(next))
	for i := range next {
		counters.Rules[i] = byName[next[i].Name]
	}
	return counters, nil
}

// Carry writes into the record of the attachment in folder what it has from now
// on: the counters that it goes on from, which those of the ruleset named from
// are in, and the container's own rules.
func Carry(folder string, carried *Counters, from string, containerRules json.RawMessage) error {
	record, err := ReadRecord(folder)
	if err != nil {
		return err
	}
	record.Carried, record.CarriedFrom, record.ContainerRules = carried, from, containerRules
	return record.pin(folder)
}

// Quiesce returns when no program that was taken off before is running any
// more: it waits for an RCU grace period.
func Quiesce() {
	const global = 1 // MEMBARRIER_CMD_GLOBAL, include/uapi/linux/membarrier.h
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, global, 0, 0); errno != 0 {
		time.Sleep(gracePeriod) // with nohz_full there is no such barrier
	}
}

// gracePeriod is longer than a program runs by far.
const gracePeriod = 50 * time.Millisecond
