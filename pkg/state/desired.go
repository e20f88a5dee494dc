package state

import (
	"encoding/json"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Desired is the desired state of a container's interface.
type Desired struct {
	Ruleset *datapath.Ruleset
	// Fallback is Ruleset in mode TC, for a device with a foreign XDP program. It is nil
	// if the configuration names a mode.
	Fallback *datapath.Ruleset
	Table    *rules.Table
	Hook     hook.TCHook
	// ContainerRules are the container's own rules among the rules, as they were
	// written. It is nil if there are none.
	ContainerRules json.RawMessage
}

// with returns the desired state with only one of its two rulesets.
func (d Desired) with(rs *datapath.Ruleset) Desired {
	d.Ruleset, d.Fallback = rs, nil
	return d
}

// rulesetOf returns the place of the desired ruleset.
func (t tree) rulesetOf(d Desired) ruleset { return t.ruleset(d.Ruleset.Hash(d.Table)) }

// choose selects one of the two rulesets for a device. It keeps the present mode,
// because another mode would interrupt the rules.
func (d Desired) choose(existing []entry, iface hook.InterfaceState) Desired {
	if d.Fallback == nil {
		return d
	}
	for _, a := range existing {
		record, err := a.Record()
		switch {
		case err != nil || record.Device.Index != iface.Device.Index || !record.NetNS.Is(d.Ruleset.NetNS):
		case record.Mode == d.Fallback.Mode && a.IsLive(record):
			return d.with(d.Fallback)
		case record.Mode == d.Ruleset.Mode && a.HoldsXDP(record):
			return d.with(d.Ruleset)
		}
	}
	if d.Ruleset.Hooks().XDP && iface.HasForeignXDP {
		return d.with(d.Fallback)
	}
	return d.with(d.Ruleset)
}

// inModeOf selects the ruleset that has the mode of an attachment.
func (d Desired) inModeOf(a entry) Desired {
	record, err := a.Record()
	if err == nil && d.Fallback != nil && record.Mode == d.Fallback.Mode {
		return d.with(d.Fallback)
	}
	return d
}

// isServedBy reports whether the attachment is in the desired state on a device.
func (d Desired) isServedBy(a entry, dev hook.Device) bool {
	return a.Verify(a.ruleset.Dir, dev, d.Ruleset, d.Hook) == nil
}

// canReplace reports whether link updates can bring the attachment into the desired
// state, without removing it first.
func (d Desired) canReplace(a entry, dev hook.Device) bool {
	return a.CanReplace(dev, d.Ruleset.NetNS, d.Ruleset.Mode, d.Hook)
}
