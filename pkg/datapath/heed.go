package datapath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
)

// Activate makes the programs heed the packets of an attached device, with its
// counters at zero. It is the one moment from which the rules are in force.
func (p *Programs) Activate(ifindex uint32) error {
	near := p.near()
	mayBeNear, err := near.prepare(ifindex)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAttach, err)
	}
	counters := p.maps[programsMapCounters]
	if err := counters.Put(ifindex, zeros(counters)); err != nil {
		return fmt.Errorf("%w: the counters of device %d cannot be added (one ruleset has at most %d containers): %w",
			ErrAttach, ifindex, counters.MaxEntries(), err)
	}
	if mayBeNear {
		// The rules are in force: without a place the device is counted all the
		// same, so this is no error, by which somebody would take them back.
		_ = near.take(ifindex)
	}
	return nil
}

// zeros is an element of a map that has one for each CPU.
func zeros(m *ebpf.Map) [][]byte {
	value := make([][]byte, ebpf.MustPossibleCPU())
	for i := range value {
		value[i] = make([]byte, m.ValueSize())
	}
	return value
}

// Deactivate makes the programs of the ruleset pinned in dir leave the packets
// of a device alone.
func Deactivate(dir string, ifindex int) error {
	counters, err := ebpf.LoadPinnedMap(filepath.Join(dir, programsMapCounters), nil)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w to open the map %s: %w", ErrPin, programsMapCounters, err)
	}
	defer counters.Close()
	if err := leaveNear(dir, uint32(ifindex)); err != nil {
		return err
	}
	if err := counters.Delete(uint32(ifindex)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("%w: deactivate the programs: %w", ErrDetach, err)
	}
	return nil
}
