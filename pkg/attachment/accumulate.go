package attachment

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Counters returns the counters of the attachment, including those of its former rulesets.
//
// Returns an error wrapping ebpf.ErrKeyNotExist if the programs are not enabled for its device.
func (folder Folder) Counters(ruleset datapath.Dir) (*datapath.Counters, error) {
	record, err := folder.Record()
	if err != nil {
		return nil, err
	}
	programs, err := ruleset.Open(datapath.Hooks{})
	if err != nil {
		return nil, err
	}
	defer programs.Close()
	return totals(programs, record)
}

// totals is Counters for a ruleset that is open already.
func totals(programs *datapath.Programs, record *Record) (*datapath.Counters, error) {
	if err := programs.CheckCounters(); err != nil {
		return nil, err
	}
	enabled, err := programs.IsEnabled(record.Activation())
	if err == nil && !enabled {
		err = ebpf.ErrKeyNotExist
	}
	if err != nil {
		return nil, fmt.Errorf("read the counters of %s: %w", record.Device.Name, err)
	}
	counters, err := programs.Counters(record.Device.Index)
	if err != nil {
		return nil, err
	}
	counters.Add(record.Accumulated)
	return counters, nil
}

// AccumulateCounters returns what the attachment has counted under the ruleset, as the start
// for a ruleset with other rules: a rule continues the counter of the rule with its name.
//
// Returns nil if nothing was counted. The programs of the ruleset must not run on the device
// any more, see kernel.Quiesce, unless they stay.
func (folder Folder) AccumulateCounters(ruleset datapath.Dir, next []rules.Rule) (*datapath.Counters, error) {
	counters, err := folder.Counters(ruleset)
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	byName := map[string]datapath.RuleCounter{}
	if rs, err := ruleset.Description(); err == nil {
		for i := range min(len(rs.Rules), len(counters.Rules)) {
			byName[rs.Rules[i].Name] = counters.Rules[i]
		}
	}
	counters.Rules = make([]datapath.RuleCounter, len(next))
	for i := range next {
		counters.Rules[i] = byName[next[i].Name]
	}
	return counters, nil
}

// SetAccumulated writes into the record the counters of former rulesets, up to the one
// named from, and the container's own rules.
func (folder Folder) SetAccumulated(accumulated *datapath.Counters, from string, containerRules json.RawMessage) error {
	record, err := folder.Record()
	if err != nil {
		return err
	}
	record.Accumulated, record.AccumulatedFrom, record.ContainerRules = accumulated, from, containerRules
	return record.pin(folder)
}
