package datapath

import (
	"encoding/json"
	"errors"
	"os"
	"time"
)

// Record is what an attachment's links do not tell, kept beside their pins.
type Record struct {
	// Owner is what the attachment is for, in the words of who made it.
	Owner string
	// Device is the host side, which may be gone since, its index reused.
	Device Device
	// NetNS is the network namespace of the device, as in Ruleset.
	NetNS uint64
	// Mode is the mode obtained.
	Mode Mode
	// Hook is the tc hook obtained, never AutoHook once it is pinned.
	Hook TCHook
	// OwnsQdisc says that the clsact qdisc was made for this attachment.
	OwnsQdisc bool
	// AttachedAt has a resolution of nanoseconds.
	AttachedAt time.Time
	// Carried are the counters of the rulesets that this container was under
	// before, as ReadCounters adds them up; nil if there was none.
	Carried *Counters `json:",omitempty"`
	// CarriedFrom is the name of the ruleset that it was under last, whose
	// counters are in Carried already; empty if there was none.
	CarriedFrom string `json:",omitempty"`
	// ContainerRules are the container's own rules as they were written, which
	// it keeps where its network's rules are changed; nil if it has none.
	ContainerRules json.RawMessage `json:",omitempty"`
}

const pinRecord = "record"

// isNoRecord tells whether an error of ReadRecord is for good: there is none, or
// none of this build.
func isNoRecord(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, errUnreadable)
}

// Keep writes the record into dir, where there is no attachment: whoever finds it
// has nothing to undo.
//
// Returns an error wrapping ErrLoad or ErrPin.
func (r *Record) Keep(dir string) error { return pinDocument(dir, "kept", r) }

// pin writes the record into dir.
func (r *Record) pin(dir string) error {
	return pinDocument(dir, pinRecord, r)
}

// ReadRecord reads the record of the attachment in dir. Returns an error
// wrapping os.ErrNotExist if there is none.
func ReadRecord(dir string) (*Record, error) {
	record := new(Record)
	if err := readDocument(dir, pinRecord, record); err != nil {
		return nil, err
	}
	return record, nil
}
