package datapath_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

func loadedRules() map[string][]rules.Rule {
	plain := programtest.TraceRules().Rules
	listed := slices.Clone(plain)
	for i := range listed {
		listed[i].Peers = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/64")}
	}
	return map[string][]rules.Rule{"plain": plain, "address lists": listed}
}

// TestLoad has the kernel verify the programs of every mode, with and without
// address lists, which are code of their own.
func TestLoad(t *testing.T) {
	for name, list := range loadedRules() {
		for _, mode := range []datapath.Mode{datapath.Generic, datapath.Native, datapath.TC} {
			t.Run(mode.String()+"/"+name, func(t *testing.T) {
				programtest.NeedMode(t, mode)
				rs := &datapath.Ruleset{Mode: mode, Flows: 1024, Rules: list}
				start := time.Now()
				p := programtest.MustLoad(t, rs)
				t.Log(time.Since(start))
				needed := rs.Hooks().Names()
				for name, program := range p.All() {
					if needed[name] != (*program != nil) {
						t.Errorf("%s is loaded: %t, should be %t", name, *program != nil, needed[name])
					}
					checkVerified(t, name, *program)
				}
			})
		}
	}
}

// maxVerified bounds the instructions that the verifier walks for a program, which are
// most of what the first container of a ruleset waits for. The kernel's own bound is a
// million.
const maxVerified = 50_000

// checkVerified fails if the verifier forks where it need not: in loops over the slots of
// a bucket that multiplies its work, see is_zero() in bpf/branchless.h.
func checkVerified(t *testing.T, name string, program *ebpf.Program) {
	t.Helper()
	if program == nil {
		return
	}
	info, err := program.Info()
	if err != nil {
		t.Fatal(err)
	}
	if count, ok := info.VerifiedInstructions(); ok {
		t.Logf("%s: the verifier walked %d instructions", name, count)
		if count > maxVerified {
			t.Errorf("%s: the verifier walked %d instructions, more than %d", name, count, maxVerified)
		}
	}
}

// TestLoadUnseen has the kernel verify programs that do not read skbs, as on
// kernels that do not let them, and those that do: Load would fall back.
func TestLoadUnseen(t *testing.T) {
	if kernel.SKB() == nil {
		t.Skip("programs read no skbs here (Linux 6.2 with BTF)")
	}
	for name, list := range loadedRules() {
		for _, mode := range []datapath.Mode{datapath.Generic, datapath.Native, datapath.TC} {
			for seen, access := range map[string]func() *kernel.SKBAccess{"seen": kernel.SKB, "unseen": datapath.NoSKB} {
				if mode == datapath.Native && seen == "unseen" {
					continue // which Mode.Check refuses
				}
				t.Run(mode.String()+"/"+name+"/"+seen, func(t *testing.T) {
					programtest.NeedMode(t, mode)
					table, err := rules.Compile(list)
					if err != nil {
						t.Fatal(err)
					}
					p, err := datapath.LoadWith(&datapath.Ruleset{Mode: mode, Flows: 1024, Rules: list}, table, datapath.Shared{}, access)
					if err != nil {
						t.Fatalf("%+v", err)
					}
					p.Close()
				})
			}
		}
	}
}
