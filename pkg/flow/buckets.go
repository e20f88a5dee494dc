package flow

import (
	"errors"
	"fmt"
	"iter"

	"github.com/cilium/ebpf"
)

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
