package datapath

import (
	"fmt"
	"maps"
	"slices"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Extend loads the programs of the ruleset for hooks where its own rules need none: programs of
// other rules at these hooks must be replaced in the same instant. They are not pinned.
//
// Returns an error wrapping ErrLoad or pin.ErrPin.
func (p *Programs) Extend(dir Dir, rs *Ruleset, table *rules.Table, hooks Hooks) error {
	all := rs.Hooks().or(hooks)
	missing := all.programs()
	for name, needed := range rs.Hooks().programs() {
		missing[name] = missing[name] && !needed
	}
	if !slices.Contains(slices.Collect(maps.Values(missing)), true) {
		return nil
	}
	err := p.extend(dir, rs, table, all, missing, kernel.SKB)
	if isRefusal(err) { // as it refused the others of the ruleset, see Load
		if p.extend(dir, rs, table, all, missing, noSKB) == nil {
			return nil
		}
	}
	return err
}

// extend loads the missing programs.
func (p *Programs) extend(dir Dir, rs *Ruleset, table *rules.Table, hooks Hooks, missing map[string]bool, access func() *kernel.SKBAccess) error {
	spec, err := specify(rs, table, hooks, access)
	if err != nil {
		return err
	}
	loaded, err := openMaps(dir, spec)
	defer closeMaps(loaded)
	if err != nil {
		return err
	}
	for name, program := range p.programs() {
		if !missing[name] || *program != nil {
			continue
		}
		if *program, err = loadProgram(spec.Programs[name], loaded); err != nil {
			return fmt.Errorf("%w: %w", ErrLoad, err)
		}
	}
	return nil
}

func (h Hooks) or(other Hooks) Hooks {
	return Hooks{
		XDP:       h.XDP || other.XDP,
		TCIngress: h.TCIngress || other.TCIngress,
		TCEgress:  h.TCEgress || other.TCEgress,
	}
}

// openMaps opens all maps of a ruleset, by their names in the specification. The caller must close
// the result, also after an error.
func openMaps(dir Dir, spec *ebpf.CollectionSpec) (map[string]*ebpf.Map, error) {
	opened := map[string]*ebpf.Map{}
	for name := range spec.Maps {
		m, err := pin.OpenMap(string(dir), name)
		if err != nil {
			return opened, err
		}
		opened[name] = m
	}
	return opened, nil
}

func closeMaps(opened map[string]*ebpf.Map) {
	for _, m := range opened {
		_ = m.Close()
	}
}
