package state

import (
	"encoding/json"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Wanted is what a container's interface is to get.
type Wanted struct {
	Ruleset *datapath.Ruleset
	// Fallback is Ruleset in mode TC, for a device whose XDP slot somebody else
	// holds; nil where another mode than Ruleset's is not wanted.
	Fallback *datapath.Ruleset
	Table    *rules.Table
	Hook     hook.TCHook
	// ContainerRules are those of the rules that are the container's own, as
	// they were written; nil if there are none.
	ContainerRules json.RawMessage
}

// with returns what is wanted with one of its two rulesets alone.
func (w Wanted) with(rs *datapath.Ruleset) Wanted {
	w.Ruleset, w.Fallback = rs, nil
	return w
}

// folder is that of the ruleset in the state.
func (s *Store) folder(w Wanted) datapath.Dir { return s.ruleset(w.Ruleset.Hash(w.Table)) }

// choose settles which of the two rulesets a device gets. The mode that it has
// already stays: another could not be had without a gap.
func (w Wanted) choose(existing []published, site hook.InterfaceState) Wanted {
	if w.Fallback == nil {
		return w
	}
	for _, a := range existing {
		record, err := a.folder.Record()
		switch {
		case err != nil || record.Device.Index != site.Device.Index || !record.NetNS.Is(w.Ruleset.NetNS):
		case record.Mode == w.Fallback.Mode && a.folder.IsLive(record):
			return w.with(w.Fallback)
		case record.Mode == w.Ruleset.Mode && a.folder.HoldsXDP(record):
			return w.with(w.Ruleset)
		}
	}
	if w.Ruleset.Hooks().XDP && site.HasForeignXDP {
		return w.with(w.Fallback)
	}
	return w.with(w.Ruleset)
}

// either returns what is wanted with that of the two rulesets that has the mode
// of an attachment.
func (w Wanted) either(a published) Wanted {
	record, err := a.folder.Record()
	if err == nil && w.Fallback != nil && record.Mode == w.Fallback.Mode {
		return w.with(w.Fallback)
	}
	return w
}
