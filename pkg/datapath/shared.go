package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
)

// mapTrace is the map of the variable trace.
const mapTrace = ".data.trace"

// commonMaps are what all rulesets have in common: the hints, so that tc ingress
// of one ruleset takes those of XDP of another while programs are replaced one by
// one, and what a listener hears by.
var commonMaps = []string{programsMapHints, mapTrace, programsMapTraceRings}

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
func OpenShared(dirs []string) (Shared, error) {
	shared := Shared{common: map[string]*ebpf.Map{}}
	for _, name := range commonMaps {
		m, err := openFirst(dirs, pinName(name))
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

// HasAllOf tells whether each map that all rulesets have in common now is the one
// that was opened before: what was loaded with those can go beside the rulesets
// there are now.
func (s Shared) HasAllOf(now Shared) bool {
	for name, m := range now.common {
		before := s.common[name]
		if before == nil {
			return false
		}
		id, err := mapID(m)
		idBefore, errBefore := mapID(before)
		if err != nil || errBefore != nil || id != idBefore {
			return false
		}
	}
	return true
}

func mapID(m *ebpf.Map) (ebpf.MapID, error) {
	info, err := m.Info()
	if err != nil {
		return 0, err
	}
	id, known := info.ID()
	if !known {
		return 0, errors.New("the kernel tells no ids of maps")
	}
	return id, nil
}

// openFirst opens the map of this name of the first ruleset that has it, or
// returns nil: those of another build may not.
func openFirst(dirs []string, name string) (*ebpf.Map, error) {
	for _, dir := range dirs {
		m, err := ebpf.LoadPinnedMap(filepath.Join(dir, name), nil)
		if err == nil {
			return m, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return nil, fmt.Errorf("%w to open the map %s: %w", ErrPin, name, err)
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
	if s.Flows != nil && isOfThisBuild(s.Flows) {
		replace(programsMapFlows, s.Flows)
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
