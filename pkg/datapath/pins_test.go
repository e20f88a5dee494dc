package datapath_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
)

// TestPinNamesStay pins a ruleset where other builds look for it: those that
// called a map or a program by another name upgrade it, and are upgraded from.
func TestPinNamesStay(t *testing.T) {
	names := map[datapath.Mode][]string{
		datapath.Generic: {"from_container", "settle_checksum", "to_container"},
		datapath.TC:      {"from_container_tc", "to_container"},
	}
	for mode, programs := range names {
		rs := programtest.FlowPorts(1024)
		rs.Mode = mode
		_, dir := programtest.Pinned(t, rs, datapath.Shared{})
		for _, name := range append(programs, "counters", "flows", "hints", "known_packets", "near_counters", "near_devices", "rules", "trace") {
			if _, err := os.Stat(filepath.Join(string(dir), name)); err != nil {
				t.Errorf("mode %s: %v", mode, err)
			}
		}
	}
}
