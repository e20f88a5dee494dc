package datapath

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// fastCounters are the fast-path counters (bpf/counters.h). Each device has one place where it may
// have them, which another device may hold. They count beside the map `counters`, which says
// whether the programs are enabled.
//
// The caller must hold the lock of the state.
type fastCounters struct {
	devices, counters *ebpf.Map
}

// fastBytes bounds the memory of fast-path counters for each CPU, fastBytesInAll that for all
// possible CPUs, which are many more on some machines. fastPlaces bounds the places.
const (
	fastBytes      = 64 << 10
	fastBytesInAll = 2 << 20
	fastPlaces     = 256
)

const cacheLine = 64

// sizeFastCounters makes places for as many devices as there is memory for. A place has counters for
// each CPU, which share no cache line.
func sizeFastCounters(spec *ebpf.CollectionSpec, ruleCount, cpus int) error {
	size := int(unsafe.Sizeof(bpf.ProgramsCounters{})) + ruleCount*2*8
	stride := (size + 2*cacheLine - 1) / cacheLine * cacheLine
	places := fastPlaces
	for places > 1 && places*stride > min(fastBytes, fastBytesInAll/cpus) {
		places /= 2
	}
	counters := spec.Maps[bpf.ProgramsMapFastCounters]
	counters.Key, counters.Value = nil, nil // which are not that long
	counters.ValueSize = uint32(stride)
	counters.MaxEntries = uint32(places * cpus)
	spec.Maps[bpf.ProgramsMapFastCounterOwners].MaxEntries = uint32(places)
	return errors.Join(
		spec.Variables[bpf.ProgramsVarFastCounterMask].Set(uint32(places-1)),
		spec.Variables[bpf.ProgramsVarCpuCount].Set(uint32(cpus)),
	)
}

// fastCounters returns the fast-path counters of a ruleset, none where it is of a build that
// had none.
func (p *Programs) fastCounters() fastCounters {
	return fastCounters{p.maps[bpf.ProgramsMapFastCounterOwners], p.maps[bpf.ProgramsMapFastCounters]}
}

func (c fastCounters) exist() bool { return c.devices != nil && c.counters != nil }

func (c fastCounters) place(ifindex uint32) uint32 {
	return ifindex & (c.devices.MaxEntries() - 1)
}

// owner returns the device that holds the place of this one, 0 if none does.
func (c fastCounters) owner(ifindex uint32) (owner uint32, err error) {
	if c.devices == nil {
		return 0, nil
	}
	if err := c.devices.Lookup(c.place(ifindex), &owner); err != nil {
		return 0, fmt.Errorf("read the map %s: %w", bpf.ProgramsMapFastCounterOwners, err)
	}
	return owner, nil
}

// prepare clears the counters at the device's place. It reports whether the device may take it.
func (c fastCounters) prepare(ifindex uint32) (mayHave bool, err error) {
	owner, err := c.owner(ifindex)
	if !c.exist() || err != nil {
		return false, err
	}
	switch owner {
	case ifindex: // that had the same index, and went away without DEL
		err = c.leave(ifindex)
	case 0:
	default:
		return false, nil
	}
	if err == nil {
		err = c.zero(ifindex)
	}
	if err != nil {
		return false, fmt.Errorf("clear fast-path counters: %w", err)
	}
	return true, nil
}

// take gives the device its prepared place.
func (c fastCounters) take(ifindex uint32) error {
	return c.give(c.place(ifindex), ifindex)
}

func (c fastCounters) give(place, owner uint32) error {
	if err := c.devices.Put(place, owner); err != nil {
		return fmt.Errorf("write the map %s: %w", bpf.ProgramsMapFastCounterOwners, err)
	}
	return nil
}

// leave frees the place of the device, if it holds it.
func (c fastCounters) leave(ifindex uint32) error {
	owner, err := c.owner(ifindex)
	if owner != ifindex || err != nil {
		return err
	}
	return c.give(c.place(ifindex), 0)
}

// elements are the numbers of the device's counters, one for each CPU.
func (c fastCounters) elements(ifindex uint32) []uint32 {
	elements := make([]uint32, c.counters.MaxEntries()/c.devices.MaxEntries())
	for cpu := range elements {
		elements[cpu] = c.place(ifindex)*uint32(len(elements)) + uint32(cpu)
	}
	return elements
}

func (c fastCounters) zero(ifindex uint32) error {
	zeros := make([]byte, c.counters.ValueSize())
	for _, element := range c.elements(ifindex) {
		if err := c.counters.Put(element, zeros); err != nil {
			return err
		}
	}
	return nil
}

// lookup returns the counters of a device for each CPU, with padding behind them. It returns none
// if the device does not hold its place.
func (c fastCounters) lookup(ifindex uint32) (perCPU [][]byte, err error) {
	owner, err := c.owner(ifindex)
	if owner != ifindex || !c.exist() || err != nil {
		return nil, err
	}
	for _, element := range c.elements(ifindex) {
		value, err := c.counters.LookupBytes(element)
		if err != nil {
			return nil, fmt.Errorf("read the map %s: %w", bpf.ProgramsMapFastCounters, err)
		}
		perCPU = append(perCPU, value)
	}
	return perCPU, nil
}

// leaveFastCounters is leave for a pinned ruleset.
func leaveFastCounters(dir Dir, ifindex uint32) error {
	c, err := openFastCounters(dir)
	defer c.close()
	if err != nil {
		return err
	}
	if err := c.leave(ifindex); err != nil {
		return err
	}
	return nil
}

// openFastCounters opens the fast-path counters that exist. The caller must close the result, also
// after an error.
func openFastCounters(dir Dir) (c fastCounters, err error) {
	c.devices, err = pin.OpenMapIfExists(string(dir), bpf.ProgramsMapFastCounterOwners)
	if err != nil {
		return c, err
	}
	c.counters, err = pin.OpenMapIfExists(string(dir), bpf.ProgramsMapFastCounters)
	return c, err
}

func (c fastCounters) close() {
	c.devices.Close()
	c.counters.Close()
}
