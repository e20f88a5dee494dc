package datapath

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/cilium/ebpf"
)

// programs lists where each program is kept.
func (p *Programs) programs() map[string]**ebpf.Program {
	return map[string]**ebpf.Program{
		programsProgFromContainer:   &p.FromContainer,
		programsProgFixUpChecksum:  &p.FixUpChecksum,
		programsProgFromContainerTc: &p.FromContainerTC,
		programsProgToContainer:     &p.ToContainer,
	}
}

// atTCIngress returns the program that belongs at tc ingress, nil for none.
func (p *Programs) atTCIngress() *ebpf.Program {
	if p.FromContainerTC != nil {
		return p.FromContainerTC
	}
	return p.FixUpChecksum
}

// Pin pins every program and map under its own name into dir, a folder in
// bpffs.
func (p *Programs) Pin(dir string) error {
	for name, program := range p.programs() {
		if *program == nil {
			continue
		}
		if err := (*program).Pin(filepath.Join(dir, pinName(name))); err != nil {
			return fmt.Errorf("%w to pin the program %s: %w", ErrPin, name, err)
		}
	}
	for name, m := range p.maps {
		if err := m.Pin(filepath.Join(dir, pinName(name))); err != nil {
			return fmt.Errorf("%w to pin the map %s: %w", ErrPin, name, err)
		}
	}
	return nil
}

// oldPinNames are the names under which maps and programs are pinned that were
// renamed since. Rulesets of builds before and after it find each other's pins.
var oldPinNames = map[string]string{
	programsMapCachedDecisions:   "known_packets",
	programsMapFastCounterOwners: "near_devices",
	programsMapFastCounters:      "near_counters",
	programsProgFixUpChecksum:    "settle_checksum",
}

// pinName returns the name under which a map or a program is pinned. bpffs refuses
// dots, which are in the names of the maps of variables: .rodata and .data.trace.
func pinName(name string) string {
	if old, renamed := oldPinNames[name]; renamed {
		return old
	}
	return name[strings.LastIndexByte(name, '.')+1:]
}

// Open opens the pinned programs of a ruleset and the maps that attaching
// needs. The caller must Close the result.
func Open(dir string, hooks Hooks) (*Programs, error) {
	p := &Programs{maps: map[string]*ebpf.Map{}}
	if err := p.open(dir, hooks); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	return p, nil
}

func (p *Programs) open(dir string, hooks Hooks) error {
	needed := hooks.programs()
	for name, program := range p.programs() {
		if !needed[name] {
			continue
		}
		var err error
		if *program, err = loadPinnedProgram(filepath.Join(dir, pinName(name))); err != nil {
			return fmt.Errorf("%w to open the program %s: %w", ErrPin, name, err)
		}
	}
	counters, err := openPinnedMap(dir, programsMapCounters)
	if err != nil {
		return err
	}
	p.maps[programsMapCounters] = counters
	near, err := openNear(dir)
	p.maps[programsMapFastCounterOwners], p.maps[programsMapFastCounters] = near.devices, near.counters
	return err
}

// OpenWhole is Open for who relies on all that a ruleset has in dir, also on what
// others open. Returns an error wrapping os.ErrNotExist if anything is missing.
func OpenWhole(dir string, hooks Hooks) (*Programs, error) {
	for _, name := range pinnedMaps() {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("%w to open the map %s: %w", ErrPin, name, err)
		}
	}
	return Open(dir, hooks)
}

// pinnedMaps returns the names of the maps that Pin pins, but for those of the
// variables, and of the description.
func pinnedMaps() []string {
	names := []string{pinDescription}
	specs := reflect.TypeFor[programsMapSpecs]()
	for i := range specs.NumField() {
		names = append(names, pinName(specs.Field(i).Tag.Get("ebpf")))
	}
	return names
}

// Unpin removes all that Pin made. Nothing missing is an error.
func Unpin(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if !entry.IsDir() {
			errs = append(errs, removeIfThere(filepath.Join(dir, entry.Name())))
		}
	}
	return errors.Join(errs...)
}

// Close closes the handles; what is pinned or attached stays.
func (p *Programs) Close() error {
	var errs []error
	for _, program := range p.programs() {
		errs = append(errs, closeIfOpen(*program))
	}
	for _, m := range p.maps {
		errs = append(errs, m.Close())
	}
	return errors.Join(errs...)
}

func closeIfOpen(program *ebpf.Program) error {
	if program == nil {
		return nil
	}
	return program.Close()
}

var _ io.Closer = (*Programs)(nil)
