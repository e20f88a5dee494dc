package state

import (
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// Outcome is what an attachment came to be: what Wanted leaves open is settled.
type Outcome struct {
	Mode    datapath.Mode
	Hook    hook.TCHook
	Device  hook.Device
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
	record, err := found[0].folder.Record()
	if err != nil {
		return Outcome{}, err
	}
	return Outcome{record.Mode, record.Hook, record.Device, found[0].ruleset.Name()}, nil
}
