package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// flowsABucket is how many flows there are to a bucket (bpf/flow_bucket.h) when the
// table is full by its configuration: half of the room, since
// they are not spread evenly. So less than 1 % find no room.
const flowsABucket = len(bpf.ProgramsFlowBucket{}.Flow) / 2

// MapElements is how many elements the map has for so many flows: the buckets,
// one at least, and one for the seed.
func MapElements(flows int) uint32 {
	return uint32(max(1, (flows+flowsABucket-1)/flowsABucket)) + 1
}

// loadsInOrder reports whether the processor does loads in the program's order.
var loadsInOrder = runtime.GOARCH == "amd64"

// Configure tells the programs how to find a flow: in the map given, or in a new
// one if that is nil.
func Configure(spec *ebpf.CollectionSpec, flows *ebpf.Map) error {
	seed, err := seedOf(spec.Maps[bpf.ProgramsMapFlows], flows)
	if err != nil {
		return err
	}
	tick, err := clockTick()
	if err != nil {
		return err
	}
	lifetimes, ranks := policies(tick)
	return errors.Join(
		spec.Variables[bpf.ProgramsVarFlowLifetime].Set(lifetimes),
		spec.Variables[bpf.ProgramsVarFlowRank].Set(ranks),
		spec.Variables[bpf.ProgramsVarEpochShift].Set(epochShift(tick)),
		spec.Variables[bpf.ProgramsVarFlowSeed].Set(seed),
		spec.Variables[bpf.ProgramsVarFlowBuckets].Set(spec.Maps[bpf.ProgramsMapFlows].MaxEntries-1),
		spec.Variables[bpf.ProgramsVarLoadsInOrder].Set(bpf.Bool(loadsInOrder)),
	)
}

// seedOf reads the seed of a map, or makes one for a map that is yet to be made.
func seedOf(spec *ebpf.MapSpec, flows *ebpf.Map) (uint64, error) {
	if flows != nil {
		element, err := seedElement(flows)
		return uint64(element.Tag[0])<<32 | uint64(element.Tag[1]), err
	}
	var random [8]byte
	if _, err := unix.Getrandom(random[:], 0); err != nil {
		return 0, fmt.Errorf("get a random number: %w", err)
	}
	seed := binary.NativeEndian.Uint64(random[:])
	element := bpf.ProgramsFlowBucket{Tag: [8]uint32{uint32(seed >> 32), uint32(seed), programsNumber(), layout2}}
	spec.Contents = []ebpf.MapKV{{Key: spec.MaxEntries - 1, Value: element}}
	return seed, nil
}

// Open opens the flow table of the ruleset that is pinned in dir.
//
// Returns an error wrapping pin.ErrPin.
func Open(dir string) (*ebpf.Map, error) {
	return pin.OpenMap(dir, bpf.ProgramsMapFlows)
}
