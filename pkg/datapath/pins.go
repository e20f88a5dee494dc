package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// Pin pins every program and map under its own name into dir, a folder in
// bpffs.
func (p *Programs) Pin(dir Dir) error {
	for name, program := range p.programs() {
		if *program == nil {
			continue
		}
		if err := (*program).Pin(filepath.Join(string(dir), bpf.PinName(name))); err != nil {
			return fmt.Errorf("%w: pin the program %s: %w", pin.ErrPin, name, err)
		}
	}
	for name, m := range p.maps {
		if err := m.Pin(filepath.Join(string(dir), bpf.PinName(name))); err != nil {
			return fmt.Errorf("%w: pin the map %s: %w", pin.ErrPin, name, err)
		}
	}
	return nil
}

// Open opens the pinned programs of a ruleset at the hooks, and the maps that attaching needs. The
// caller must Close the result.
func (dir Dir) Open(hooks Hooks) (*Programs, error) {
	p := &Programs{maps: map[string]*ebpf.Map{}}
	if err := p.open(dir, hooks); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Programs) open(dir Dir, hooks Hooks) error {
	needed := hooks.programs()
	for name, program := range p.programs() {
		if !needed[name] {
			continue
		}
		var err error
		if *program, err = pin.OpenProgram(string(dir), name); err != nil {
			return err
		}
	}
	counters, err := pin.OpenMap(string(dir), bpf.ProgramsMapCounters)
	if err != nil {
		return err
	}
	p.maps[bpf.ProgramsMapCounters] = counters
	if err := p.checkCounters(dir); err != nil {
		return err
	}
	fast, err := openFastCounters(dir)
	p.maps[bpf.ProgramsMapFastCounterOwners], p.maps[bpf.ProgramsMapFastCounters] = fast.devices, fast.counters
	return err
}

// checkCounters makes sure that the pinned map `counters` is the one that the programs
// use: an activation entry in another map enables nothing. Without programs nobody uses
// it yet.
//
// Returns an error wrapping os.ErrNotExist if the map is of another ruleset, as where a
// process was killed while it re-created the pins.
func (p *Programs) checkCounters(dir Dir) error {
	counters := p.maps[bpf.ProgramsMapCounters]
	path := filepath.Join(string(dir), bpf.PinName(bpf.ProgramsMapCounters))
	if !isCounters(counters) {
		return fmt.Errorf("%w: use %s: it is a foreign map, %s; remove it, and run ADD or xdp-portctl apply again",
			pin.ErrPin, path, counters)
	}
	for _, program := range p.programs() {
		if *program == nil {
			continue
		}
		isUsed, err := pin.Uses(*program, counters)
		if err != nil {
			return fmt.Errorf("%w: compare %s with the map that the programs use: %w", pin.ErrPin, path, err)
		}
		if !isUsed {
			return fmt.Errorf("%w: use %s: it is not the map that the programs use: %w", pin.ErrPin, path, os.ErrNotExist)
		}
	}
	return nil
}

// OpenWhole is Open for callers that rely on all pins of a ruleset.
//
// Returns an error wrapping os.ErrNotExist if one is missing.
func (dir Dir) OpenWhole(hooks Hooks) (*Programs, error) {
	for _, name := range pinnedMaps() {
		if _, err := os.Stat(filepath.Join(string(dir), name)); err != nil {
			return nil, fmt.Errorf("%w: open the map %s: %w", pin.ErrPin, name, err)
		}
	}
	return dir.Open(hooks)
}

// pinnedMaps returns the names of the pinned maps without those of variables, and of the description.
func pinnedMaps() []string {
	names := []string{pinDescription}
	specs := reflect.TypeFor[bpf.ProgramsMapSpecs]()
	for i := range specs.NumField() {
		names = append(names, bpf.PinName(specs.Field(i).Tag.Get("ebpf")))
	}
	return names
}

// Unpin removes all pins of the ruleset. Missing pins are no error.
func (dir Dir) Unpin() error {
	entries, err := os.ReadDir(string(dir))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if !entry.IsDir() {
			errs = append(errs, pin.Remove(filepath.Join(string(dir), entry.Name())))
		}
	}
	return errors.Join(errs...)
}

// TCPrograms returns the IDs of the tc programs of this ruleset and of all others beside it, since
// those of another attachment are on the device while they are replaced. Reading names instead needs
// CAP_SYS_ADMIN.
func (dir Dir) TCPrograms() map[ebpf.ProgramID]bool {
	ids := map[ebpf.ProgramID]bool{}
	for _, name := range bpf.TCPrograms {
		pins, _ := filepath.Glob(filepath.Join(filepath.Dir(string(dir)), "*", bpf.PinName(name))) // the pattern is good
		for _, path := range pins {
			if id, err := pin.PinnedProgramID(filepath.Dir(path), name); err == nil {
				ids[id] = true
			}
		}
	}
	return ids
}

// OpenAll is Open for all programs of a ruleset.
func (dir Dir) OpenAll() (*Programs, error) {
	hooks, err := dir.Hooks()
	if err != nil {
		return nil, err
	}
	return dir.Open(hooks)
}

// Hooks tells which programs the ruleset pinned in dir has.
//
// Returns an error wrapping ErrPin.
func (dir Dir) Hooks() (Hooks, error) {
	var errs []error
	has := func(program string) bool {
		_, err := os.Stat(filepath.Join(string(dir), bpf.PinName(program)))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("%w: look for %s: %w", pin.ErrPin, program, err))
		}
		return err == nil
	}
	hooks := Hooks{
		XDP:       has(bpf.ProgramsProgFromContainer),
		TCIngress: has(bpf.ProgramsProgFixUpChecksum) || has(bpf.ProgramsProgFromContainerTc),
		TCEgress:  has(bpf.ProgramsProgToContainer),
	}
	return hooks, errors.Join(errs...)
}
