package datapath

import (
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/pin"
)

const pinDescription = "description"

// IsLoaded tells whether a folder has a description, as those of rulesets do
// that are loaded.
func (dir Dir) IsLoaded() bool {
	_, err := os.Stat(filepath.Join(string(dir), pinDescription))
	return err == nil
}

// Description is what a loaded ruleset says of itself: the maps alone do not tell a
// rule's name or its addresses.
type Description struct {
	Ruleset
	// ChecksumHelper tells that its programs could not read the kernel's skb, and
	// call a helper for checksums: some 60 ns a packet slower, and in doubt about
	// the checksums of UDP tunnels.
	ChecksumHelper bool `json:",omitempty"`
}

// PinDescription writes into dir, beside the programs, what they were loaded for.
func (p *Programs) PinDescription(dir Dir, rs *Ruleset) error {
	return pin.WriteDocument(string(dir), pinDescription, &Description{Ruleset: *rs, ChecksumHelper: p.checksumHelper})
}

// Description reads what the ruleset in dir was loaded for. Returns an
// error wrapping os.ErrNotExist if it does not say.
func (dir Dir) Description() (*Description, error) {
	d := new(Description)
	if err := pin.ReadDocument(string(dir), pinDescription, d); err != nil {
		return nil, err
	}
	return d, nil
}
