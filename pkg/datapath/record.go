package datapath

import (
	"bytes"
	"fmt"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf"
)

// Record is what an attachment's links do not tell, kept beside their pins in
// a map of one element.
type Record struct {
	// Device is the host side, which may be gone since, its index reused.
	Device Device
	// NetNS is the network namespace of the device, as in Ruleset.
	NetNS uint64
	// Mode is the mode obtained.
	Mode Mode
	// Hook is the tc hook obtained, never AutoHook.
	Hook TCHook
	// OwnsQdisc says that the clsact qdisc was made for this attachment.
	OwnsQdisc bool
	// AttachedAt has a resolution of nanoseconds.
	AttachedAt time.Time
}

const pinRecord = "record"

// recordValue is a Record in the map, in the machine's byte order.
type recordValue struct {
	AttachedAt int64 // nanoseconds since 1970
	NetNS      uint64
	IfIndex    uint32
	Mode       uint32
	Hook       uint32
	OwnsQdisc  uint32
	Name       [16]byte // IFNAMSIZ
}

// pin writes the record into dir.
func (r *Record) pin(dir string) error {
	value := recordValue{
		AttachedAt: r.AttachedAt.UnixNano(),
		NetNS:      r.NetNS,
		IfIndex:    uint32(r.Device.Index),
		Mode:       uint32(r.Mode),
		Hook:       uint32(r.Hook),
	}
	if r.OwnsQdisc {
		value.OwnsQdisc = 1
	}
	copy(value.Name[:], r.Device.Name)
	m, err := ebpf.NewMap(&ebpf.MapSpec{
		Name: "xdp_port_record", Type: ebpf.Array, MaxEntries: 1, KeySize: 4, ValueSize: 48,
	})
	if err != nil {
		return fmt.Errorf("%w: make the record: %w", ErrLoad, err)
	}
	defer m.Close()
	if err := m.Put(uint32(0), &value); err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	return m.Pin(filepath.Join(dir, pinRecord))
}

// ReadRecord reads the record of the attachment in dir. Returns an error
// wrapping os.ErrNotExist if there is none.
func ReadRecord(dir string) (*Record, error) {
	m, err := ebpf.LoadPinnedMap(filepath.Join(dir, pinRecord), &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("open the record of %s: %w", dir, err)
	}
	defer m.Close()
	var value recordValue
	if err := m.Lookup(uint32(0), &value); err != nil {
		return nil, fmt.Errorf("read the record of %s: %w", dir, err)
	}
	name, _, _ := bytes.Cut(value.Name[:], []byte{0})
	return &Record{
		Device:     Device{Index: int(value.IfIndex), Name: string(name)},
		NetNS:      value.NetNS,
		Mode:       Mode(value.Mode),
		Hook:       TCHook(value.Hook),
		OwnsQdisc:  value.OwnsQdisc != 0,
		AttachedAt: time.Unix(0, value.AttachedAt),
	}, nil
}
