package datapath

import (
	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// commonMaps are what all rulesets have in common: the hints, so that tc ingress
// of one ruleset takes those of XDP of another while programs are replaced one by
// one, and what a listener hears by.
var commonMaps = []string{bpf.ProgramsMapHints, bpf.MapTrace, bpf.ProgramsMapTraceRings}

// Shared are maps of rulesets that are loaded already.
type Shared struct {
	// Flows are those of a ruleset that the new one is to replace, so that
	// none is lost; nil where there is none. Those of another build are left
	// alone, and can be copied.
	Flows *ebpf.Map

	common map[string]*ebpf.Map
}

// OpenShared opens the maps that all rulesets have in common, of those pinned in
// dirs. The caller must Close the result.
func OpenShared(dirs []Dir) (Shared, error) {
	shared := Shared{common: map[string]*ebpf.Map{}}
	for _, name := range commonMaps {
		m, err := openFirst(dirs, name)
		if err != nil {
			shared.Close()
			return Shared{}, err
		}
		if m != nil {
			shared.common[name] = m
		}
	}
	return shared, nil
}

// HasAllOf reports whether the maps that all rulesets share are still the ones that were opened
// before. Then what was loaded with these can be published.
func (s Shared) HasAllOf(now Shared) bool {
	for name, m := range now.common {
		before := s.common[name]
		if before == nil {
			return false
		}
		if same, err := pin.SameMap(before, m); !same || err != nil {
			return false
		}
	}
	return true
}

// openFirst opens the map of this name of the first ruleset that has it, or
// returns nil: those of another build may not.
func openFirst(dirs []Dir, name string) (*ebpf.Map, error) {
	for _, dir := range dirs {
		if m, err := pin.OpenMapIfExists(string(dir), name); m != nil || err != nil {
			return m, err
		}
	}
	return nil, nil
}

// replacements returns the maps that fit the specification, by name.
func (s Shared) replacements(spec *ebpf.CollectionSpec) map[string]*ebpf.Map {
	maps := map[string]*ebpf.Map{}
	replace := func(name string, m *ebpf.Map) {
		if m != nil && spec.Maps[name].Compatible(m) == nil {
			maps[name] = m
		}
	}
	if s.Flows != nil && flow.IsOfThisBuild(s.Flows) {
		replace(bpf.ProgramsMapFlows, s.Flows)
	}
	for name, m := range s.common {
		replace(name, m)
	}
	return maps
}

// Close closes the handles.
func (s Shared) Close() {
	for _, m := range s.common {
		_ = m.Close()
	}
	if s.Flows != nil {
		_ = s.Flows.Close()
	}
}
