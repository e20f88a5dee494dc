package datapath

import (
	"testing"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/test/node"
)

// TestNoFallback wants each kernel that lets programs read its skbs to take ours:
// the helper is slower, and in doubt about tunnels.
func TestNoFallback(t *testing.T) {
	if !node.ReadsSKB(t) {
		t.Skip("programs read skbs since Linux 6.2, with BTF")
	}
	for _, mode := range []Mode{Generic, TC} {
		if mode.Check() != nil {
			continue
		}
		if p := mustLoad(t, &Ruleset{Mode: mode, Flows: 1024, Rules: traceRules().Rules}); p.checksumHelper {
			t.Errorf("in mode %s the kernel refused the programs that read skbs", mode)
		}
	}
	if err := takesSKB.Check(); err != nil {
		t.Error(err)
	}
}

// TestFallbackIsDescribed has a ruleset say that its programs do without.
func TestFallbackIsDescribed(t *testing.T) {
	rs := traceRules()
	rs.Mode = TC
	table, err := rules.Compile(rs.Rules)
	if err != nil {
		t.Fatal(err)
	}
	p, err := load(rs, table, Shared{}, noSKB)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for _, helper := range []bool{true, false} {
		p.checksumHelper = helper
		dir := bpffs(t)
		if err := p.PinDescription(dir, rs); err != nil {
			t.Fatal(err)
		}
		described, err := ReadDescription(dir)
		if err != nil {
			t.Fatal(err)
		}
		if described.ChecksumHelper != helper || len(described.Rules) != len(rs.Rules) {
			t.Errorf("described as %+v, should have %t", described, helper)
		}
	}
}
