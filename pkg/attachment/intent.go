package attachment

import (
	"encoding/json"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Exchange notes that the programs of an attachment are being exchanged, for who
// finds that this was not finished.
type Intent struct {
	// Owner, Device and NetNS are those of the attachment's record.
	Owner  string
	Device hook.Device
	NetNS  veth.NetNS
	// ID is that of the attachment, which it keeps.
	ID uint64 `json:",omitempty"`
	// From is the name of the ruleset that the attachment was under.
	From string
	// ContainerRules are those of the record when all is done.
	ContainerRules json.RawMessage `json:",omitempty"`
}

// Activation is what puts the device under the new rules.
func (e *Intent) Activation() datapath.Activation {
	return datapath.Activation{Index: e.Device.Index, Owner: e.ID}
}

const pinIntent = "exchange"

// Pin writes the note into dir.
func (e *Intent) Pin(folder Folder) error { return pin.WriteDocument(string(folder), pinIntent, e) }

// ReadExchange reads the note in dir. Returns an error wrapping os.ErrNotExist
// if there is none.
func (folder Folder) Intent() (*Intent, error) {
	note := new(Intent)
	if err := pin.ReadDocument(string(folder), pinIntent, note); err != nil {
		return nil, err
	}
	return note, nil
}
