package state

import (
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// Outcome is what an attachment came to be: what Wanted leaves open is settled.
type Outcome struct {
	Mode    datapath.Mode
	Hook    datapath.TCHook
	Device  datapath.Device
	Ruleset string // its name, see datapath.Ruleset.Hash
}

// Outcome returns what the attachment of a key came to be. Returns
// ErrNotAttached if there is none.
func (s *Store) Outcome(key Key) (Outcome, error) {
	found, err := s.find(key)
	if err != nil {
		return Outcome{}, err
	}
	if len(found) == 0 {
		return Outcome{}, ErrNotAttached
	}
	record, err := datapath.ReadRecord(found[0].folder)
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{record.Mode, record.Hook, record.Device, filepath.Base(found[0].ruleset)}, nil
}
