package datapath

import "encoding/json"

// Exchange notes that the programs of an attachment are being exchanged, for who
// finds that this was not finished.
type Exchange struct {
	// Owner, Device and NetNS are those of the attachment's record.
	Owner  string
	Device Device
	NetNS  uint64
	// From is the name of the ruleset that the attachment was under.
	From string
	// ContainerRules are those of the record when all is done.
	ContainerRules json.RawMessage `json:",omitempty"`
}

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
