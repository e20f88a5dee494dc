package datapath

import (
	"errors"
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// near are the counters that are quick to reach (bpf/counters.h): each device has
// one place where it may have them, which may be another one's. They count
// besides the map `counters`, which tells whether a device is heeded at all.
//
// Who changes them holds the lock of the state.
type near struct {
	devices, counters *ebpf.Map
}

// nearBytes is what near counters may take of memory for each CPU, nearBytesInAll
// for all that there may be, who are many more on some machines, and nearPlaces how
// many places there are at most.
const (
	nearBytes      = 64 << 10
	nearBytesInAll = 2 << 20
	nearPlaces     = 256
)

const cacheLine = 64

// sizeNear makes places for as many devices as there is memory for. Each has
// counters for each CPU, which have no line of the cache in common, wherever in
// a line the first begins.
func sizeNear(spec *ebpf.CollectionSpec, ruleCount, cpus int) error {
	size := int(unsafe.Sizeof(bpf.ProgramsCounters{})) + ruleCount*int(unsafe.Sizeof(RuleCounter{}))
	stride := (size + 2*cacheLine - 1) / cacheLine * cacheLine
	places := nearPlaces
	for places > 1 && places*stride > min(nearBytes, nearBytesInAll/cpus) {
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

// near returns the near counters of a ruleset, none where it is of a build that
// had none.
func (p *Programs) near() near {
	return near{p.maps[bpf.ProgramsMapFastCounterOwners], p.maps[bpf.ProgramsMapFastCounters]}
}

func (n near) exist() bool { return n.devices != nil && n.counters != nil }

func (n near) place(ifindex uint32) uint32 {
	return ifindex & (n.devices.MaxEntries() - 1)
}

// owner returns the device that has the place of this one, 0 if none has.
func (n near) owner(ifindex uint32) (owner uint32, err error) {
	if n.devices == nil {
		return 0, nil
	}
	if err := n.devices.Lookup(n.place(ifindex), &owner); err != nil {
		return 0, fmt.Errorf("read the map %s: %w", bpf.ProgramsMapFastCounterOwners, err)
	}
	return owner, nil
}

// prepare makes the device's place ready for it, with counters at zero. It
// tells whether it may have the place.
func (n near) prepare(ifindex uint32) (mayHave bool, err error) {
	owner, err := n.owner(ifindex)
	if !n.exist() || err != nil {
		return false, err
	}
	switch owner {
	case ifindex: // that had the same index, and went away without DEL
		err = n.leave(ifindex)
	case 0:
	default:
		return false, nil
	}
	if err == nil {
		err = n.zero(ifindex)
	}
	if err != nil {
		return false, fmt.Errorf("clear near counters: %w", err)
	}
	return true, nil
}

// take gives the device its place, which was made ready.
func (n near) take(ifindex uint32) error {
	return n.give(n.place(ifindex), ifindex)
}

func (n near) give(place, owner uint32) error {
	if err := n.devices.Put(place, owner); err != nil {
		return fmt.Errorf("write the map %s: %w", bpf.ProgramsMapFastCounterOwners, err)
	}
	return nil
}

// leave takes the device out of its place, if it has that.
func (n near) leave(ifindex uint32) error {
	owner, err := n.owner(ifindex)
	if owner != ifindex || err != nil {
		return err
	}
	return n.give(n.place(ifindex), 0)
}

// elements are the numbers of the device's counters, one for each CPU.
func (n near) elements(ifindex uint32) []uint32 {
	elements := make([]uint32, n.counters.MaxEntries()/n.devices.MaxEntries())
	for cpu := range elements {
		elements[cpu] = n.place(ifindex)*uint32(len(elements)) + uint32(cpu)
	}
	return elements
}

func (n near) zero(ifindex uint32) error {
	zeros := make([]byte, n.counters.ValueSize())
	for _, element := range n.elements(ifindex) {
		if err := n.counters.Put(element, zeros); err != nil {
			return err
		}
	}
	return nil
}

// lookup returns the counters of a device for each CPU, with more bytes behind
// them; none if it has none here.
func (n near) lookup(ifindex uint32) (perCPU [][]byte, err error) {
	owner, err := n.owner(ifindex)
	if owner != ifindex || !n.exist() || err != nil {
		return nil, err
	}
	for _, element := range n.elements(ifindex) {
		value, err := n.counters.LookupBytes(element)
		if err != nil {
			return nil, fmt.Errorf("read the map %s: %w", bpf.ProgramsMapFastCounters, err)
		}
		perCPU = append(perCPU, value)
	}
	return perCPU, nil
}

// leaveNear is leave for the ruleset pinned in dir.
func leaveNear(dir Dir, ifindex uint32) error {
	n, err := openNear(dir)
	defer n.close()
	if err != nil {
		return err
	}
	if err := n.leave(ifindex); err != nil {
		return fmt.Errorf("%w: %w", ErrActivation, err)
	}
	return nil
}

// openNear opens what there is of near counters. The result is to be closed,
// also with an error.
func openNear(dir Dir) (n near, err error) {
	n.devices, err = pin.OpenMapIfExists(string(dir), bpf.ProgramsMapFastCounterOwners)
	if err != nil {
		return n, err
	}
	n.counters, err = pin.OpenMapIfExists(string(dir), bpf.ProgramsMapFastCounters)
	return n, err
}

func (n near) close() {
	n.devices.Close()
	n.counters.Close()
}
