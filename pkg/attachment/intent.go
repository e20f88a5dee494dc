package attachment

import (
	"encoding/json"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Intent says that the programs of an attachment are being replaced. Whoever finds one
// of a process that died finishes the replacement, or undoes it.
type Intent struct {
	// Owner, Device and NetNS are those of the attachment's record.
	Owner  string      `json:"owner"`
	Device hook.Device `json:"device"`
	NetNS  veth.NetNS  `json:"netns"`
	// ID is the attachment's, which it keeps.
	ID uint64 `json:"id,omitempty"`
	// From is the name of the ruleset that the attachment was under.
	From string `json:"from"`
	// ContainerRules are those of the record when all is done.
	ContainerRules json.RawMessage `json:"containerRules,omitempty"`
}

// Activation is what puts the device under the new rules.
func (i *Intent) Activation() datapath.Activation {
	return datapath.Activation{Index: i.Device.Index, Owner: i.ID}
}

// pinIntent is the name that builds before used, too.
const pinIntent = "exchange"

// Pin writes the intent into the folder.
//
// Returns an error wrapping pin.ErrMap or pin.ErrPin.
func (i *Intent) Pin(folder Folder) error { return pin.WriteDocument(string(folder), pinIntent, i) }

// Intent reads the intent in the folder.
//
// Returns an error wrapping os.ErrNotExist if there is none, pin.ErrUnreadable if
// something else is in its place, and pin.ErrNewer if a newer version wrote it.
func (folder Folder) Intent() (*Intent, error) {
	intent := new(Intent)
	if err := pin.ReadDocument(string(folder), pinIntent, intent); err != nil {
		return nil, err
	}
	return intent, nil
}
