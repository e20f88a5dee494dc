package datapath

import (
	"path/filepath"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/flow"
)

// Dir is the folder in bpffs with the programs and maps of one loaded ruleset, and its
// description.
type Dir string

// OpenFlows opens the flow table. The caller must Close it.
//
// Returns an error wrapping pin.ErrPin.
func (dir Dir) OpenFlows() (*ebpf.Map, error) { return flow.Open(string(dir)) }

// Name is the ruleset's name, see Ruleset.Hash.
func (dir Dir) Name() string { return filepath.Base(string(dir)) }
