package datapath

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// ErrActivation is returned when the kernel refuses to enable or disable programs
// for a device, or to hand packets over from one ruleset to another.
var ErrActivation = errors.New("activation error")

// Activation is the entry in the map `counters` that enables a ruleset for a device.
//
// An index is reused when its device is gone. The entry has the ID of its attachment, so that
// no other attachment can end it.
type Activation struct {
	Index int
	// Owner is the ID of the attachment. It is 0 in the rulesets of earlier builds.
	Owner uint64
}

// NewID returns a random ID for an attachment.
func NewID() uint64 {
	var id [8]byte
	for {
		_, _ = rand.Read(id[:]) // it never fails
		if id := binary.NativeEndian.Uint64(id[:]); id != 0 {
			return id
		}
	}
}

// openCounters opens the map `counters`. It returns nil if there is none, or a foreign map is in
// its place.
//
// Returns an error wrapping pin.ErrPin.
func openCounters(dir Dir) (*ebpf.Map, error) {
	counters, err := pin.OpenMapIfExists(string(dir), bpf.ProgramsMapCounters)
	if counters != nil && !isCounters(counters) {
		return nil, counters.Close()
	}
	return counters, err
}

// ownerAt returns the owner of the activation of a device.
//
// Returns an error wrapping ebpf.ErrKeyNotExist if there is none.
func ownerAt(counters *ebpf.Map, ifindex int) (uint64, error) {
	var perCPU [][]byte
	if err := counters.Lookup(uint32(ifindex), &perCPU); err != nil {
		return 0, err
	}
	return ownerIn(counters, perCPU), nil
}

func ownerIn(counters *ebpf.Map, perCPU [][]byte) uint64 {
	if !hasOwner(counters) || len(perCPU) == 0 {
		return 0
	}
	return binary.NativeEndian.Uint64(perCPU[0][counters.ValueSize()-ownerSize:])
}

// Enable enables the programs for an attached device, with its counters at zero. The rules are
// in force from this moment.
//
// Returns an error wrapping ErrActivation.
func (p *Programs) Enable(a Activation) error {
	fast := p.fastCounters()
	mayHavePlace, err := fast.prepare(uint32(a.Index))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrActivation, err)
	}
	counters := p.maps[bpf.ProgramsMapCounters]
	if err := counters.Put(uint32(a.Index), entry(counters, a.Owner)); err != nil {
		return fmt.Errorf("%w: the counters of device %d cannot be added (one ruleset has at most %d containers): %w",
			ErrActivation, a.Index, counters.MaxEntries(), err)
	}
	if mayHavePlace {
		// The rules are in force: without a place the device is counted all the
		// same, so this is no error, after which the caller would disable them.
		_ = fast.take(uint32(a.Index))
	}
	return nil
}

// entry returns an element of the map `counters`, which has a value for each CPU.
func entry(counters *ebpf.Map, owner uint64) [][]byte {
	value := make([][]byte, ebpf.MustPossibleCPU())
	for i := range value {
		value[i] = make([]byte, counters.ValueSize())
		if hasOwner(counters) {
			binary.NativeEndian.PutUint64(value[i][counters.ValueSize()-ownerSize:], owner)
		}
	}
	return value
}

// Disable makes the programs of the ruleset leave the packets of a device alone, unless another
// attachment has the device now.
//
// Returns an error wrapping pin.ErrPin or ErrActivation.
func (dir Dir) Disable(a Activation) error {
	counters, err := openCounters(dir)
	if counters == nil || err != nil {
		return err
	}
	defer counters.Close()
	owner, err := ownerAt(counters, a.Index)
	switch {
	case errors.Is(err, ebpf.ErrKeyNotExist) || err == nil && hasOwner(counters) && owner != a.Owner:
		return nil
	case err != nil:
		return fmt.Errorf("%w: read the map %s: %w", pin.ErrPin, bpf.ProgramsMapCounters, err)
	}
	if err := leaveFastCounters(dir, uint32(a.Index)); err != nil {
		return fmt.Errorf("%w: %w", ErrActivation, err)
	}
	if err := counters.Delete(uint32(a.Index)); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("%w: disable the programs: %w", ErrActivation, err)
	}
	return nil
}

// IsEnabled reports whether the programs of the ruleset pinned in dir process the
// packets of a device, for this owner.
//
// Returns an error wrapping ErrPin.
func (dir Dir) IsEnabled(a Activation) (bool, error) {
	counters, err := pin.OpenMap(string(dir), bpf.ProgramsMapCounters)
	if err != nil {
		return false, err
	}
	defer counters.Close()
	return isEnabledIn(counters, a)
}

// IsEnabled reports whether the programs process the packets of a device, for this
// owner.
//
// Returns an error wrapping ErrPin.
func (p *Programs) IsEnabled(a Activation) (bool, error) {
	return isEnabledIn(p.maps[bpf.ProgramsMapCounters], a)
}

// Owner returns the owner of the activation of a device. isKnown is false if an earlier build
// loaded the ruleset.
//
// Returns an error wrapping ebpf.ErrKeyNotExist if there is no activation.
func (p *Programs) Owner(ifindex int) (owner uint64, isKnown bool, err error) {
	counters := p.maps[bpf.ProgramsMapCounters]
	owner, err = ownerAt(counters, ifindex)
	return owner, hasOwner(counters), err
}

func isEnabledIn(counters *ebpf.Map, a Activation) (bool, error) {
	owner, err := ownerAt(counters, a.Index)
	switch {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%w: read the map %s: %w", pin.ErrPin, bpf.ProgramsMapCounters, err)
	}
	return !hasOwner(counters) || owner == a.Owner, nil
}

// ActivationAt returns the activation of a device; it is nil if there is none.
//
// Returns an error wrapping pin.ErrPin.
func (dir Dir) ActivationAt(ifindex int) (*Activation, error) {
	counters, err := openCounters(dir)
	if counters == nil || err != nil {
		return nil, err
	}
	defer counters.Close()
	owner, err := ownerAt(counters, ifindex)
	switch {
	case errors.Is(err, ebpf.ErrKeyNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("%w: read the map %s: %w", pin.ErrPin, bpf.ProgramsMapCounters, err)
	}
	return &Activation{ifindex, owner}, nil
}

// Activate is Enable without an owner.
func (p *Programs) Activate(ifindex uint32) error {
	return p.Enable(Activation{Index: int(ifindex)})
}

// Deactivate undoes Activate in the ruleset pinned in dir.
func (dir Dir) Deactivate(ifindex int) error {
	return dir.Disable(Activation{Index: ifindex})
}
