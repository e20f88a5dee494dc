package datapath

import (
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"unsafe"

	"github.com/cilium/ebpf"
)

// OpenFlows opens the flows of the ruleset pinned in dir.
func OpenFlows(dir string) (*ebpf.Map, error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(dir, programsMapFlows), nil)
	if err != nil {
		return nil, fmt.Errorf("%w to open the map %s: %w", ErrPin, programsMapFlows, err)
	}
	return m, nil
}

// CopyFlows copies the flows of a device to the ruleset pinned in dir, unless
// they are in the same map. Of a flow that is there already the one stays that was
// used later.
//
// Returns an error wrapping ErrPin, ErrLoad or ErrAttach.
func CopyFlows(from *ebpf.Map, dir string, ifindex int) error {
	to, err := OpenFlows(dir)
	if err != nil {
		return err
	}
	defer to.Close()
	if same, err := sameMap(from, to); same || err != nil {
		return err
	}
	if !isOfThisBuild(to) {
		return nil // the container's next packets make them anew there
	}
	importer := flowImporter{to: to}
	defer importer.close()
	for record, err := range recordsOf(from, ifindex) {
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAttach, err)
		}
		if err := importer.add(&record); err != nil {
			return err
		}
	}
	return nil
}

// isFlowTable tells whether the map has buckets of flows as this build has them.
func isFlowTable(m *ebpf.Map) bool {
	if m.Type() != ebpf.Array || m.ValueSize() != uint32(unsafe.Sizeof(programsFlowBucket{})) {
		return false
	}
	element, err := seedElement(m)
	return err == nil && element.Tag[3] == flowLayout
}

// recordsOf reads the flows of a device, and their aliases, of this build or one
// before; none where the map has another layout.
func recordsOf(m *ebpf.Map, ifindex int) iter.Seq2[programsFlowRecord, error] {
	switch {
	case isFlowTable(m):
		return recordsOfLayout2(m, ifindex)
	case hasLayout1(m):
		return recordsOfLayout1(m, ifindex)
	}
	return func(func(programsFlowRecord, error) bool) {}
}

func recordsOfLayout2(m *ebpf.Map, ifindex int) iter.Seq2[programsFlowRecord, error] {
	return func(yield func(programsFlowRecord, error) bool) {
		for bucket, err := range bucketsOf[programsFlowBucket](m) {
			if err != nil {
				yield(programsFlowRecord{}, err)
				return
			}
			for i, tag := range bucket.Tag {
				record := programsFlowRecord{
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

func sameMap(a, b *ebpf.Map) (bool, error) {
	infoA, errA := a.Info()
	infoB, errB := b.Info()
	if err := errors.Join(errA, errB); err != nil {
		return false, fmt.Errorf("%w: compare the flows: %w", ErrAttach, err)
	}
	idA, _ := infoA.ID()
	idB, _ := infoB.ID()
	return idA == idB, nil
}
