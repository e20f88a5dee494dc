package datapath

import (
	"encoding/json"

	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Exchange notes that the programs of an attachment are being exchanged, for who
// finds that this was not finished.
type Exchange struct {
	// Owner, Device and NetNS are those of the attachment's record.
	Owner  string
	Device Device
	NetNS  veth.NetNS
	// ID is that of the attachment, which it keeps.
	ID uint64 `json:",omitempty"`
	// From is the name of the ruleset that the attachment was under.
	From string
	// ContainerRules are those of the record when all is done.
	ContainerRules json.RawMessage `json:",omitempty"`
}

// Activation is what puts the device under the new rules.
func (e *Exchange) Activation() Activation { return Activation{e.Device.Index, e.ID} }

const pinExchange = "exchange"

// Pin writes the note into dir.
func (e *Exchange) Pin(dir string) error { return pinDocument(dir, pinExchange, e) }

// ReadExchange reads the note in dir. Returns an error wrapping os.ErrNotExist
// if there is none.
func ReadExchange(dir string) (*Exchange, error) {
	note := new(Exchange)
	if err := readDocument(dir, pinExchange, note); err != nil {
		return nil, err
	}
	return note, nil
}
