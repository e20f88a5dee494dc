package datapath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// specify reads the embedded programs and configures them for the ruleset, the hooks and the kernel.
func specify(rs *Ruleset, table *rules.Table, hooks Hooks, access func() *kernel.SKBAccess) (*ebpf.CollectionSpec, error) {
	spec, err := bpf.LoadPrograms()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	return spec, errors.Join(configure(spec, rs, table, hooks), readSKB(spec, access(), rs.Mode))
}

// tables are the maps that never change after loading.
var tables = []string{
	bpf.ProgramsMapPortPages, bpf.ProgramsMapPortClasses, bpf.ProgramsMapPeerPrefixes, bpf.ProgramsMapRules,
}

func configure(spec *ebpf.CollectionSpec, rs *Ruleset, table *rules.Table, hooks Hooks) error {
	selectPrograms(spec, hooks)
	setFrags(spec, rs.Mode)
	fillTables(spec, rs, table)
	// So that a listener can change it by atomic steps.
	spec.Maps[bpf.MapTrace].Flags |= unix.BPF_F_MMAPABLE
	spec.Maps[bpf.ProgramsMapFlows].MaxEntries = flow.MapElements(rs.flows())
	sizeCounters(spec.Maps[bpf.ProgramsMapCounters], len(rs.Rules))
	addOwner(spec.Maps[bpf.ProgramsMapCounters])
	cpus, err := ebpf.PossibleCPU()
	if err != nil {
		return err
	}
	if rs.keepsFlows() { // otherwise there is nothing to cache
		spec.Maps[bpf.ProgramsMapCachedDecisions].MaxEntries *= uint32(cpus)
	} else {
		spec.Maps[bpf.ProgramsMapCachedDecisions].MaxEntries = 1
	}
	return errors.Join(
		sizeFastCounters(spec, len(rs.Rules), cpus),
		spec.Variables[bpf.ProgramsVarPortIndex].Set(table.PortIndex),
		spec.Variables[bpf.ProgramsVarHasClasses].Set(bpf.Bool(len(table.Classes) > 0)),
		spec.Variables[bpf.ProgramsVarNetworkMask].Set(networkMasks()),
		spec.Variables[bpf.ProgramsVarRuleCount].Set(uint32(len(rs.Rules))),
		spec.Variables[bpf.ProgramsVarCachesDecisions].Set(bpf.Bool(!kernel.IsRealTime())),
		spec.Variables[bpf.ProgramsVarHintOwner].Set(hintOwner(rs.NetNS)),
		spec.Variables[bpf.ProgramsVarIsNative].Set(bpf.Bool(rs.Mode.isNative())),
		spec.Variables[bpf.ProgramsVarHasXdpLoadBytes].Set(bpf.Bool(hasMultiBuffer())),
		spec.Variables[bpf.ProgramsVarHasTrace].Set(bpf.Bool(bpf.Tracing)),
		spec.Variables[bpf.ProgramsVarHandsOver].Set(bpf.Bool(kernel.TailCalls.Check() == nil)),
		spec.Variables[bpf.ProgramsVarRulesetId].Set(rs.id(table)),
	)
}

func selectPrograms(spec *ebpf.CollectionSpec, hooks Hooks) {
	needed := hooks.programs()
	for name := range spec.Programs {
		if !needed[name] {
			delete(spec.Programs, name)
		}
	}
}

// setFrags accepts multi-buffer packets in native mode where the kernel has them (Linux 5.18).
// Otherwise native mode refuses a large MTU.
//
// Generic mode does without: the kernel would copy each packet and forget the length of its link
// layer header (net/core/skbuff.c, skb_pp_cow_data). Programs behind ours at tc ingress, the
// bandwidth plugin's redirection for one, would then drop the Ethernet header. It is slower, too.
func setFrags(spec *ebpf.CollectionSpec, mode Mode) {
	if mode == Native && hasMultiBuffer() {
		return
	}
	if program := spec.Programs[bpf.ProgramsProgFromContainer]; program != nil {
		program.Flags &^= unix.BPF_F_XDP_HAS_FRAGS
	}
	// Without the program, too: Extend may add it to what is frozen now.
	_ = spec.Variables[bpf.ProgramsVarHasFrags].Set(uint8(0))
}

// hasMultiBuffer reports whether XDP has multi-buffer packets and their helpers (Linux 5.18).
func hasMultiBuffer() bool {
	return kernel.Frags.Check() == nil
}
