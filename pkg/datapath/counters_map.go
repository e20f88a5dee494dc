package datapath

import (
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// ownerSize is the size of the owner's ID and its padding behind the counters of the rules.
const ownerSize = 16

// addOwner makes room for the owner in the value of the map `counters`.
func addOwner(spec *ebpf.MapSpec) {
	counters := spec.Value.(*btf.Struct)
	counters.Members = append(counters.Members, btf.Member{
		Name: "owner", Type: counters.Members[0].Type, Offset: btf.Bits(8 * counters.Size),
	}, btf.Member{
		Name: "unused", Type: counters.Members[0].Type, Offset: btf.Bits(8 * (counters.Size + ownerSize/2)),
	})
	counters.Size += ownerSize
	spec.ValueSize = counters.Size
}

// hasOwner reports whether the entries have owners. Those of earlier builds and of foreign maps have none.
func hasOwner(counters *ebpf.Map) bool {
	return isCounters(counters) && !hasCounters1(counters)
}

// isCounters reports whether a map can be the map `counters` of any build.
func isCounters(m *ebpf.Map) bool {
	return m.Type() == ebpf.PerCPUHash && m.KeySize() == 4 && m.ValueSize()%8 == 0 && m.ValueSize() >= 8*fixedCounters1
}

// Builds before flows had a state had an odd number of counters beside the pairs of
// the rules, the last of them one of something that there is not any more, and no
// owner behind. This build has an even number.
const (
	fixedCounters1 = 7
	fixedCounters  = unsafe.Offsetof(bpf.ProgramsCounters{}.Rules) / 8
)

var _ [fixedCounters % 2]struct{} = [0]struct{}{}

// hasCounters1 reports whether the counters are those of such a build.
func hasCounters1(counters *ebpf.Map) bool {
	const word = 8
	return counters.ValueSize()/word%2 != 0
}

// sizeCounters gives each rule its pair of counters, in the type information
// too, so that bpftool shows them.
func sizeCounters(spec *ebpf.MapSpec, ruleCount int) {
	counters := btf.Copy(spec.Value).(*btf.Struct)
	array := counters.Members[len(counters.Members)-1].Type.(*btf.Array)
	element, _ := btf.Sizeof(array.Type)
	array.Nelems = uint32(ruleCount)
	counters.Size += uint32(ruleCount * element)
	spec.Value, spec.ValueSize = counters, counters.Size
}
