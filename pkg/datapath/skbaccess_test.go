package datapath_test

import (
	"testing"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/internal/bpftest"
	"github.com/xdp-port/xdp-port/pkg/internal/programtest"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// TestLoadWithoutKernelCalls makes the kernel refuse the calls that read an skb. Load
// must distinguish that from other failures.
func TestLoadWithoutKernelCalls(t *testing.T) {
	bpftest.NeedRoot(t)
	if kernel.SKB() == nil {
		t.Skip("programs read no skbs here (Linux 6.2 with BTF)")
	}
	rs := programtest.TraceRules()
	table, err := rules.Compile(rs.Rules)
	if err != nil {
		t.Fatal(err)
	}
	wrong := *kernel.SKB()
	wrong.Cast = 1 // a type, and no function
	programs, err := datapath.LoadWith(rs, table, datapath.Shared{}, func() *kernel.SKBAccess { return &wrong })
	if err == nil {
		programs.Close()
		t.Fatal("the kernel took a call of nothing")
	}
	if !datapath.IsRefusal(err) {
		t.Errorf("%v is not taken for a refusal", err)
	}
}
