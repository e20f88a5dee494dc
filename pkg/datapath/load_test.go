package datapath

import (
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

func mustLoad(t testing.TB, rs *Ruleset) *Programs {
	t.Helper()
	table, err := rules.Compile(rs.Rules)
	if err != nil {
		t.Fatal(err)
	}
	programs, err := Load(rs, table, Shared{})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	t.Cleanup(func() { programs.Close() })
	return programs
}

func TestLoad(t *testing.T) {
	start := time.Now()
	rs := &Ruleset{Flows: 1024, Rules: []rules.Rule{{
		Name: "rule-0", Protocol: rules.UDP,
		Ports: rules.PortRange{First: 7999, Last: 7999}, To: rules.PortRange{First: 7998, Last: 7998},
	}}}
	p := mustLoad(t, rs)
	t.Log(time.Since(start))
	for name, prog := range p.programs() {
		if *prog == nil {
			continue
		}
		info, _ := (*prog).Info()
		n, _ := info.VerifiedInstructions()
		j, _ := info.JitedSize()
		t.Log(name, n, j)
	}
}
