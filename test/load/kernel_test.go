package load

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/xdp-port/xdp-port/test/pace"
)

// objects are the kernel objects of this test's rulesets, pinned or not.
type objects struct {
	programs []ebpf.ProgramID
	maps     []ebpf.MapID
	links    int
}

func (o objects) String() string {
	return fmt.Sprintf("%d programs, %d maps, %d links", len(o.programs), len(o.maps), o.links)
}

// ownObjects lists all objects in the kernel, and selects those that belong to a flow
// table of this test's size.
func ownObjects() (own objects, err error) {
	flowMaps, err := ownFlows()
	if err != nil || len(flowMaps) == 0 {
		return own, err
	}
	for id := ebpf.ProgramID(0); ; {
		if id, err = ebpf.ProgramGetNextID(id); errors.Is(err, os.ErrNotExist) {
			break
		}
		if err != nil {
			return own, err
		}
		if used := mapsOf(id); slices.ContainsFunc(used, func(m ebpf.MapID) bool { return slices.Contains(flowMaps, m) }) {
			own.programs = append(own.programs, id)
			own.maps = append(own.maps, used...)
		}
	}
	own.maps = append(own.maps, flowMaps...)
	slices.Sort(own.maps)
	own.maps = slices.Compact(own.maps)
	own.links, err = countLinks(own.programs)
	return own, err
}

func ownFlows() (ids []ebpf.MapID, err error) {
	for id := ebpf.MapID(0); ; {
		if id, err = ebpf.MapGetNextID(id); errors.Is(err, os.ErrNotExist) {
			return ids, nil
		}
		if err != nil {
			return nil, err
		}
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			continue // it has gone meanwhile
		}
		if info, err := m.Info(); err == nil && info.Name == "flows" && info.MaxEntries == uint32(flowElements) {
			ids = append(ids, id)
		}
		m.Close()
	}
}

func mapsOf(id ebpf.ProgramID) []ebpf.MapID {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return nil
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return nil
	}
	ids, _ := info.MapIDs()
	return ids
}

func countLinks(programs []ebpf.ProgramID) (count int, err error) {
	links := new(link.Iterator)
	defer links.Close()
	for links.Next() {
		info, err := links.Link.Info()
		if err == nil && slices.Contains(programs, info.Program) {
			count++
		}
	}
	return count, links.Err()
}

// mustGo expects the kernel and bpffs to contain nothing of this test's rulesets. That
// takes some time after the last DEL.
func mustGo(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(pace.Patience(time.Minute)); ; time.Sleep(50 * time.Millisecond) {
		own, err := ownObjects()
		must(t, err)
		if len(own.programs)+len(own.maps)+own.links == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left in the kernel: %s", own)
		}
	}
}
