package flow

import (
	"iter"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

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
