package attachment

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Record is what an attachment's links do not tell, kept beside their pins.
type Record struct {
	// Owner is what the attachment is for, in the words of who made it.
	Owner string
	// Device is the host side, which may be gone since, its index reused.
	Device hook.Device
	// ID tells the attachment from all others; 0 where an earlier build made it.
	ID uint64 `json:",omitempty"`
	// NetNS is the network namespace of the device, as in Ruleset.
	NetNS veth.NetNS
	// Mode is the mode obtained.
	Mode datapath.Mode
	// Hook is the tc hook obtained, never AutoHook once it is pinned.
	Hook hook.TCHook
	// OwnsQdisc says that the clsact qdisc was made for this attachment.
	OwnsQdisc bool
	// AttachedAt is when that was by the clock, which may have been wrong: it is for
	// people.
	AttachedAt time.Time
	// Carried are the counters of the rulesets that this container was under
	// before, as ReadCounters adds them up; nil if there was none.
	Carried *datapath.Counters `json:",omitempty"`
	// CarriedFrom is the name of the ruleset that it was under last, whose
	// counters are in Carried already; empty if there was none.
	CarriedFrom string `json:",omitempty"`
	// ContainerRules are the container's own rules as they were written, which
	// it keeps where its network's rules are changed; nil if it has none.
	ContainerRules json.RawMessage `json:",omitempty"`

	// seen is what was there when ours were added. It is not pinned.
	seen hook.Seen
}

const pinRecord = "record"

// Activation is what puts the device under the rules.
func (r *Record) Activation() datapath.Activation {
	return datapath.Activation{Index: r.Device.Index, Owner: r.ID}
}

// placement is what the attachment has at tc hooks.
func (r *Record) placement() hook.Placement {
	return hook.Placement{Device: r.Device, Hook: r.Hook, Filter: r.FilterName(), Seen: &r.seen}
}

// FilterName is the name of the attachment's clsact filters.
func (r *Record) FilterName() string {
	if r.ID == 0 {
		return fmt.Sprintf("%s%d", hook.FilterPrefix, r.AttachedAt.UnixNano())
	}
	return fmt.Sprintf("%s%016x", hook.FilterPrefix, r.ID)
}

// SetSeen spares the look at the order a question for a new attachment on a device that
// was just inspected.
func (r *Record) SetSeen(state hook.InterfaceState) { r.seen.NothingAtTCX(state) }

// IsNoRecord tells whether an error of ReadRecord is for good: there is none, or
// none of this build.
func IsNoRecord(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, pin.ErrUnreadable)
}

const pinKept = "kept"

// Keep writes the record into dir, where there is no attachment: that is taken off
// to be attached in another way, and whoever finds this puts it back if that was
// not finished.
//
// Returns an error wrapping ErrLoad or ErrPin.
func (r *Record) Keep(folder Folder) error { return pin.WriteDocument(string(folder), pinKept, r) }

// Kept reads what Keep wrote. Returns an error wrapping os.ErrNotExist if there
// is none.
func (folder Folder) Kept() (*Record, error) {
	record := new(Record)
	if err := pin.ReadDocument(string(folder), pinKept, record); err != nil {
		return nil, err
	}
	return record, nil
}

// pin writes the record into dir.
func (r *Record) pin(folder Folder) error {
	return pin.WriteDocument(string(folder), pinRecord, r)
}

// Record reads the record of the attachment in dir. Returns an error
// wrapping os.ErrNotExist if there is none.
func (folder Folder) Record() (*Record, error) {
	record := new(Record)
	if err := pin.ReadDocument(string(folder), pinRecord, record); err != nil {
		return nil, err
	}
	return record, nil
}

// Rename writes into the record of the attachment in folder what its device is
// called now.
func (folder Folder) Rename(dev hook.Device) error {
	record, err := folder.Record()
	if err != nil {
		return err
	}
	record.Device = dev
	return record.pin(folder)
}
