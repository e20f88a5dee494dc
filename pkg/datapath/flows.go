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

// makeFlowsAside makes the map of a ruleset's flows, unless it is to have those
// of another one, while the caller does something else: the kernel touches all
// of its memory at once, which takes about as long as reading the programs. The
// function it returns waits for the map, which is nil if there is none to be made.
func makeFlowsAside(rs *Ruleset, shared Shared) (wait func() (*ebpf.Map, error)) {
	if shared.Flows != nil {
		return func() (*ebpf.Map, error) { return nil, nil }
	}
	var flows *ebpf.Map
	var err error
	done := make(chan struct{})
	go func() {
		defer close(done)
		flows, err = ebpf.NewMap(flowsSpec(rs))
	}()
	return func() (*ebpf.Map, error) {
		<-done
		if err != nil {
			return nil, fmt.Errorf("%w: make the map %s: %w", ErrLoad, programsMapFlows, err)
		}
		return flows, nil
	}
}

// flowsSpec is the specification that the object file has, but for the names of
// its fields.
func flowsSpec(rs *Ruleset) *ebpf.MapSpec {
	return &ebpf.MapSpec{
		Name:       programsMapFlows,
		Type:       ebpf.LRUHash,
		KeySize:    uint32(unsafe.Sizeof(programsFlowKey{})),
		ValueSize:  uint32(unsafe.Sizeof(programsFlow{})),
		MaxEntries: flowEntries(rs),
	}
}

// flowBatch is how many flows are read by one system call.
const flowBatch = 4096

// CopyFlows copies the flows of a device to the ruleset pinned in dir, unless
// they are in the same map. Flows that are there already stay as they are.
//
// Returns an error wrapping ErrPin or ErrAttach.
func CopyFlows(from *ebpf.Map, dir string, ifindex int) error {
	to, err := OpenFlows(dir)
	if err != nil {
		return err
	}
	defer to.Close()
	if same, err := sameMap(from, to); same || err != nil {
		return err
	}
	if from.KeySize() != to.KeySize() || from.ValueSize() != to.ValueSize() {
		return nil // of another build: the container's next packets make them anew
	}
	for flow, err := range flowsOf(from, ifindex) {
		if err != nil {
			return fmt.Errorf("%w: %w", ErrAttach, err)
		}
		if err := to.Update(&flow.key, &flow.value, ebpf.UpdateNoExist); err != nil && !errors.Is(err, ebpf.ErrKeyExist) {
			return fmt.Errorf("%w: copy a flow: %w", ErrAttach, err)
		}
	}
	return nil
}

// flowEntry is a flow as it is in the map.
type flowEntry struct {
	key   programsFlowKey
	value programsFlow
}

// flowsOf reads the flows of a device.
func flowsOf(m *ebpf.Map, ifindex int) iter.Seq2[flowEntry, error] {
	return func(yield func(flowEntry, error) bool) {
		var cursor ebpf.MapBatchCursor
		keys, values := make([]programsFlowKey, flowBatch), make([]programsFlow, flowBatch)
		for {
			n, err := m.BatchLookup(&cursor, keys, values, nil)
			isLast := errors.Is(err, ebpf.ErrKeyNotExist)
			if err != nil && !isLast {
				yield(flowEntry{}, fmt.Errorf("read the flows: %w", err))
				return
			}
			for i := range n {
				if keys[i].Ifindex == uint32(ifindex) && !yield(flowEntry{keys[i], values[i]}, nil) {
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
