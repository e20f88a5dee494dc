package datapath_test

import (
	"testing"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/node"
)

// TestNoFallback wants each kernel that lets programs read its skbs to take ours:
// the helper is slower, and in doubt about tunnels.
func TestNoFallback(t *testing.T) {
	if !node.ReadsSKB(t) {
		t.Skip("programs read skbs since Linux 6.2, with BTF")
	}
	for _, mode := range []datapath.Mode{datapath.Generic, datapath.TC} {
		if mode.Check() != nil {
			continue
		}
		if p := programtest.MustLoad(t, &datapath.Ruleset{Mode: mode, Flows: 1024, Rules: programtest.TraceRules().Rules}); *p.ChecksumHelper() {
			t.Errorf("in mode %s the kernel refused the programs that read skbs", mode)
		}
	}
	if err := datapath.TakesSKB.Check(); err != nil {
		t.Error(err)
	}
}

// TestFallbackIsDescribed has a ruleset say that its programs do without.
func TestFallbackIsDescribed(t *testing.T) {
	bpftest.NeedRoot(t)
	rs := programtest.TraceRules()
	rs.Mode = datapath.TC
	table, err := rules.Compile(rs.Rules)
	if err != nil {
		t.Fatal(err)
	}
	p, err := datapath.LoadWith(rs, table, datapath.Shared{}, datapath.NoSKB)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, helper := range []bool{true, false} {
		*p.ChecksumHelper() = helper
		dir := datapath.Dir(bpftest.BPFFS(t))
		if err := p.PinDescription(dir, rs); err != nil {
			t.Fatal(err)
		}
		described, err := dir.Description()
		if err != nil {
			t.Fatal(err)
		}
		if described.ChecksumHelper != helper || len(described.Rules) != len(rs.Rules) {
			t.Errorf("described as %+v, should have %t", described, helper)
		}
	}
}
