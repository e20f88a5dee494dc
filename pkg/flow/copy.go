package flow

import (
	"errors"
	"fmt"
	"iter"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// ErrCopy is returned when flows cannot be copied. The message says why.
var ErrCopy = errors.New("the flows cannot be copied")

// Open opens the flow table of the ruleset that is pinned in dir.
//
// Returns an error wrapping pin.ErrPin.
func Open(dir string) (*ebpf.Map, error) {
	return pin.OpenMap(dir, bpf.ProgramsMapFlows)
}

// Copy copies the flows of a device to another table, unless both are the same. Where
// both have a flow, the one stays that was used later.
//
// Returns an error wrapping ErrCopy.
func Copy(from, to *ebpf.Map, ifindex int) error {
	same, err := pin.SameMap(from, to)
	if err != nil {
		return fmt.Errorf("%w: compare the flows: %w", ErrCopy, err)
	}
	if same {
		return nil
	}
	if !IsOfThisBuild(to) {
		return nil // the container's next packets make them anew there
	}
	importer := importer{to: to}
	defer importer.close()
	for record, err := range recordsOf(from, ifindex) {
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCopy, err)
		}
		if err := importer.add(&record); err != nil {
			return err
		}
	}
	return nil
}

// isFlowTable tells whether the map has buckets of flows as this build has them.
func isFlowTable(m *ebpf.Map) bool {
	if m.Type() != ebpf.Array || m.ValueSize() != uint32(unsafe.Sizeof(bpf.ProgramsFlowBucket{})) {
		return false
	}
	element, err := seedElement(m)
	return err == nil && element.Tag[3] == layout2
}

// recordsOf reads the flows of a device, and their aliases, of this build or one
// before; none where the map has another layout.
func recordsOf(m *ebpf.Map, ifindex int) iter.Seq2[bpf.ProgramsFlowRecord, error] {
	switch {
	case isFlowTable(m):
		return recordsOfLayout2(m, ifindex)
	case hasLayout1(m):
		return recordsOfLayout1(m, ifindex)
	}
	return func(func(bpf.ProgramsFlowRecord, error) bool) {}
}

func recordsOfLayout2(m *ebpf.Map, ifindex int) iter.Seq2[bpf.ProgramsFlowRecord, error] {
	return func(yield func(bpf.ProgramsFlowRecord, error) bool) {
		for bucket, err := range bucketsOf[bpf.ProgramsFlowBucket](m) {
			if err != nil {
				yield(bpf.ProgramsFlowRecord{}, err)
				return
			}
			for i, tag := range bucket.Tag {
				record := bpf.ProgramsFlowRecord{
					Flow: bucket.Flow[i], Used: bucket.Used[i], Answer: bucket.Answer[i], State: bucket.State[i],
				}
				if tag != 0 && record.Flow.Key.Ifindex == uint32(ifindex) && !yield(record, nil) {
					return
				}
			}
		}
	}
}

// bucketBatch is how many buckets are read by one system call.
const bucketBatch = 1024

// bucketsOf reads the buckets of a map, but for the element with the seed.
func bucketsOf[B any](m *ebpf.Map) iter.Seq2[*B, error] {
	return func(yield func(*B, error) bool) {
		var cursor ebpf.MapBatchCursor
		size := min(bucketBatch, int(m.MaxEntries()))
		numbers, buckets := make([]uint32, size), make([]B, size)
		locked := &ebpf.BatchOptions{ElemFlags: uint64(ebpf.LookupLock)}
		for {
			n, err := m.BatchLookup(&cursor, numbers, buckets, locked)
			isLast := errors.Is(err, ebpf.ErrKeyNotExist)
			if err != nil && !isLast {
				yield(nil, fmt.Errorf("read the flows: %w", err))
				return
			}
			for i := range n {
				if numbers[i] < seedIndex(m) && !yield(&buckets[i], nil) {
					return
				}
			}
			if isLast {
				return
			}
		}
	}
}
