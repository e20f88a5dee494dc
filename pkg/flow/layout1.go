package flow

import (
	"iter"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// flowBucket1 is struct flow_bucket of builds before flows had a state. Their
// flows are all rewritten ones, and none has another source port.
type bucket1 struct {
	Lock, Version uint32
	Tag           [8]uint32
	Used          [8]uint16
	UsedUpper     [8]uint8
	Flow          [8]flow1
}

type flow1 struct {
	Container, Peer         bpf.ProgramsAddress
	Ifindex                 uint32
	ContainerPort, PeerPort uint16
	Protocol                uint8
	Direction               uint8
	Family                  uint8
	_                       uint8
	OriginalPort            uint16
	_                       uint16
}

func hasLayout1(m *ebpf.Map) bool {
	return m.Type() == ebpf.Array && m.ValueSize() == uint32(unsafe.Sizeof(bucket1{}))
}

// recordsOfLayout1 reads the flows of a device. Nobody knows how far they are:
// those of TCP count as established, those of UDP as answered just now.
func recordsOfLayout1(m *ebpf.Map, ifindex int) iter.Seq2[bpf.ProgramsFlowRecord, error] {
	return func(yield func(bpf.ProgramsFlowRecord, error) bool) {
		for bucket, err := range bucketsOf[bucket1](m) {
			if err != nil {
				yield(bpf.ProgramsFlowRecord{}, err)
				return
			}
			for i, tag := range bucket.Tag {
				flow := &bucket.Flow[i]
				if tag != 0 && flow.Ifindex == uint32(ifindex) && !yield(flow.record(), nil) {
					return
				}
			}
		}
	}
}

func (f *flow1) record() bpf.ProgramsFlowRecord {
	source, destination := f.ContainerPort, f.PeerPort
	if f.Direction != 0 {
		source, destination = destination, source
	}
	state := bpf.ProgramsFlowStateFLOW_ANSWERED
	if f.Protocol == 6 {
		state |= bpf.ProgramsFlowStateFLOW_TCP | bpf.ProgramsFlowStateFLOW_ESTABLISHED
	}
	return bpf.ProgramsFlowRecord{
		Flow: bpf.ProgramsFlow{
			Container: f.Container, Peer: f.Peer,
			Key: bpf.ProgramsFlowKey{
				Ifindex: f.Ifindex, Ports: portsWord(source, destination),
				Protocol: f.Protocol, Direction: f.Direction, Family: f.Family,
			},
			Original: portsWord(source, f.OriginalPort),
		},
		State: uint8(state), IsFresh: 1,
	}
}

// portsWord puts two ports, as they were loaded from memory, side by side there.
func portsWord(source, destination uint16) (word uint32) {
	*(*[2]uint16)(unsafe.Pointer(&word)) = [2]uint16{source, destination}
	return word
}
