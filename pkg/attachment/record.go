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

// Record is what an attachment's links do not tell. It is pinned beside them.
type Record struct {
	// Owner is the key of the attachment, see pkg/state.
	Owner string `json:"owner"`
	// Device is the host side. It may be gone since, and its index reused.
	Device hook.Device `json:"device"`
	// ID tells the attachment from all others. It is 0 where an earlier build made it.
	ID uint64 `json:"id,omitempty"`
	// NetNS is the network namespace of the device, as in datapath.Ruleset.
	NetNS veth.NetNS `json:"netns"`
	// Mode is the mode in force.
	Mode datapath.Mode `json:"mode"`
	// Hook is the tc hook in force. It is not AutoHook once the record is pinned.
	Hook hook.TCHook `json:"hook"`
	// OwnsQdisc tells that the clsact qdisc was made for this attachment.
	OwnsQdisc bool `json:"ownsQdisc"`
	// AttachedAt is the wall-clock time, which may have been wrong. It is for people.
	AttachedAt time.Time `json:"attachedAt"`
	// Accumulated are the counters of the rulesets that this container was under
	// before; nil if there was none.
	Accumulated *datapath.Counters `json:"accumulated,omitempty"`
	// AccumulatedFrom is the name of the last ruleset that Accumulated has the
	// counters of; empty if there was none.
	AccumulatedFrom string `json:"accumulatedFrom,omitempty"`
	// ContainerRules are the container's own rules as they were written. It keeps them
	// where its network's rules change. nil if it has none.
	ContainerRules json.RawMessage `json:"containerRules,omitempty"`

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

// IsNoRecord reports whether an error of reading a record is for good: there is none, or
// none of xdp-port's. A record of a newer version is one.
func IsNoRecord(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, pin.ErrUnreadable)
}

const pinKept = "kept"

// Keep writes the record into a folder without an attachment. The attachment was taken
// off to be attached in another way. If that was not finished, whoever finds this puts
// it back.
//
// Returns an error wrapping pin.ErrMap or pin.ErrPin.
func (r *Record) Keep(folder Folder) error { return pin.WriteDocument(string(folder), pinKept, r) }

// Kept reads what Keep wrote. Returns errors as Record does.
func (folder Folder) Kept() (*Record, error) { return readRecord(folder, pinKept) }

// Record reads the record of the attachment.
//
// Returns an error wrapping os.ErrNotExist if there is none, and pin.ErrUnreadable if
// something else is in its place. With an error wrapping pin.ErrNewer it returns what
// this build knows of the record of a newer version.
func (folder Folder) Record() (*Record, error) { return readRecord(folder, pinRecord) }

// recordDocument reads records of every build.
type recordDocument struct {
	*Record
	// Carried and CarriedFrom are the keys of schema version 1.
	Carried     *datapath.Counters
	CarriedFrom string
}

func readRecord(folder Folder, name string) (*Record, error) {
	document := recordDocument{Record: new(Record)}
	err := pin.ReadDocument(string(folder), name, &document)
	isNewer := errors.Is(err, pin.ErrNewer)
	if err != nil && !isNewer {
		return nil, err
	}
	record := document.Record
	if !isNewer && (!record.Mode.IsKnown() || !record.Hook.IsKnown()) {
		return nil, fmt.Errorf("%w: %s/%s: its mode or tc hook is not known", pin.ErrUnreadable, folder, name)
	}
	if record.Accumulated == nil {
		record.Accumulated, record.AccumulatedFrom = document.Carried, document.CarriedFrom
	}
	return record, err
}

// pin writes the record into the folder.
func (r *Record) pin(folder Folder) error { return pin.WriteDocument(string(folder), pinRecord, r) }

// Rename writes into the record what the device is called now.
func (folder Folder) Rename(dev hook.Device) error {
	record, err := folder.Record()
	if err != nil {
		return err
	}
	record.Device = dev
	return record.pin(folder)
}
