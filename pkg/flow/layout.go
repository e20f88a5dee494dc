package flow

import (
	"fmt"
	"strconv"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// flowLayout is the version of struct flow_bucket, which is with the seed.
const layout2 = 2

// seedIndex is the element with the seed of the flows' hashes: programs that
// share the map have it in common.
func seedIndex(flows *ebpf.Map) uint32 { return flows.MaxEntries() - 1 }

func seedElement(flows *ebpf.Map) (element bpf.ProgramsFlowBucket, err error) {
	if err = flows.Lookup(seedIndex(flows), &element); err != nil {
		err = fmt.Errorf("read the seed of the flows: %w", err)
	}
	return element, err
}

// IsOfThisBuild reports whether a table of flows was made by these programs. Others
// may hash in another way.
func IsOfThisBuild(flows *ebpf.Map) bool {
	if !isFlowTable(flows) {
		return false
	}
	element, err := seedElement(flows)
	return err == nil && element.Tag[2] == programsNumber()
}

// programsNumber is 32 bits of the name of the programs' build.
func programsNumber() uint32 {
	number, _ := strconv.ParseUint(bpf.Hash()[:8], 16, 32)
	return uint32(number)
}

// isFlowTable reports whether the map has buckets of flows as this build has them.
func isFlowTable(m *ebpf.Map) bool {
	if m.Type() != ebpf.Array || m.ValueSize() != uint32(unsafe.Sizeof(bpf.ProgramsFlowBucket{})) {
		return false
	}
	element, err := seedElement(m)
	return err == nil && element.Tag[3] == layout2
}
