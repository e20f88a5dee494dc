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
// they are in the same map. Flows that are there already stay as they are.
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
	if !isFlowTable(from) || !isOfThisBuild(to) {
		return nil // of another build: the container's next packets make them anew
	}
	importer := flowImporter{to: to}
	defer importer.close()
	for flow, err := range flowsOf(from, ifindex) {
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAttach, err)
		}
		if err := importer.add(&flow); err != nil {
			return err
		}
	}
	return nil
}

// isFlowTable tells whether the map has buckets of flows. Builds before them had
// another kind of map.
func isFlowTable(m *ebpf.Map) bool {
	return m.Type() == ebpf.Array && m.ValueSize() == uint32(unsafe.Sizeof(programsFlowBucket{}))
}

// flowsOf reads the flows of a device.
func flowsOf(m *ebpf.Map, ifindex int) iter.Seq2[programsFlow, error] {
	return func(yield func(programsFlow, error) bool) {
		for bucket, err := range flowBucketsOf(m) {
			if err != nil {
				yield(programsFlow{}, err)
				return
			}
			for i, tag := range bucket.Tag {
				flow := &bucket.Flow[i]
				if tag != 0 && flow.Key.Ifindex == uint32(ifindex) && !yield(*flow, nil) {
					return
				}
			}
		}
	}
}

// bucketBatch is how many buckets are read by one system call.
const bucketBatch = 1024

func flowBucketsOf(m *ebpf.Map) iter.Seq2[*programsFlowBucket, error] {
	return func(yield func(*programsFlowBucket, error) bool) {
		var cursor ebpf.MapBatchCursor
		size := min(bucketBatch, int(m.MaxEntries()))
		numbers, buckets := make([]uint32, size), make([]programsFlowBucket, size)
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
