package differential

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/test/internal/model"
)

// table gives access to the times of last use in the programs' flow table. A test turns
// them back instead of waiting until flows expire.
type table struct {
	*ebpf.Map
	// used is the offset of the times of last use in a bucket, flows their number.
	used, flows uint32
}

func openTable(programs *datapath.Programs) (*table, error) {
	program := programs.FromContainer
	for _, other := range []*ebpf.Program{programs.FromContainerTC, programs.ToContainer} {
		if program == nil {
			program = other
		}
	}
	if program == nil {
		return &table{}, nil
	}
	info, err := program.Info()
	if err != nil {
		return nil, err
	}
	ids, _ := info.MapIDs()
	for _, id := range ids {
		m, err := ebpf.NewMapFromID(id)
		if err != nil {
			return nil, err
		}
		if info, err := m.Info(); err == nil && info.Name == "flows" {
			return tableOf(m)
		}
		m.Close()
	}
	return &table{}, nil // these rules need no flows
}

// tableOf finds the times of last use through the BTF type of the map's values.
func tableOf(m *ebpf.Map) (*table, error) {
	handle, err := m.Handle()
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	spec, err := handle.Spec(nil)
	if err != nil {
		return nil, err
	}
	var bucket *btf.Struct
	if err := spec.TypeByName("flow_bucket", &bucket); err != nil {
		return nil, err
	}
	for _, member := range bucket.Members {
		if member.Name == "used" {
			return &table{m, member.Offset.Bytes(), member.Type.(*btf.Array).Nelems}, nil
		}
	}
	return nil, errors.New("the type of a bucket has no times of last use")
}

func (t *table) Close() {
	if t.Map != nil {
		t.Map.Close()
	}
}

// steps are the amounts by which a test advances the time.
var steps = []time.Duration{7 * time.Second, 19 * time.Second, 37 * time.Second, 101 * time.Second, 190 * time.Second}

// age advances the time of the programs and of the model. It does nothing if a flow
// would be so close to its expiry that the two could disagree, since the programs'
// clock also runs by itself.
func age(flows *table, reference *model.Model, random *rand.Rand) error {
	const margin = 3 * time.Second
	step := steps[random.IntN(len(steps))]
	if flows.Map == nil || !reference.MayAge(step, margin) {
		return nil
	}
	reference.Now += step
	return flows.turnBack(step)
}

func (t *table) turnBack(by time.Duration) error {
	var tick unix.Timespec
	if err := unix.ClockGetres(unix.CLOCK_MONOTONIC_COARSE, &tick); err != nil {
		return err
	}
	jiffies := uint32(int64(by) / tick.Nano())
	for number := range t.MaxEntries() - 1 { // the last one holds the seed
		bucket, err := t.LookupBytes(number)
		if err != nil {
			return fmt.Errorf("read a bucket: %w", err)
		}
		if isZero(bucket[t.used : t.used+4*t.flows]) {
			continue // empty bucket
		}
		for i := range t.flows {
			used := bucket[t.used+4*i:]
			binary.NativeEndian.PutUint32(used, binary.NativeEndian.Uint32(used)-jiffies)
		}
		if err := t.Put(number, bucket); err != nil {
			return fmt.Errorf("write a bucket: %w", err)
		}
	}
	return nil
}

func isZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
