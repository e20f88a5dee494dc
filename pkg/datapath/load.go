package datapath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// ErrLoad is returned when the kernel refuses the programs or their maps.
var ErrLoad = errors.New("the kernel refused to load the programs")

// Programs is a loaded ruleset: its programs and maps. Programs that the rules
// do not need are nil.
type Programs struct {
	FromContainer   *ebpf.Program
	FixUpChecksum   *ebpf.Program
	FromContainerTC *ebpf.Program
	ToContainer     *ebpf.Program

	maps map[string]*ebpf.Map

	// checksumHelper is known of programs that were just loaded.
	checksumHelper bool
}

// Load compiles nothing and attaches nothing: it brings the programs and the
// tables of a ruleset into the kernel. Maps of the same kind in shared are used
// instead of new ones.
//
// Returns an error wrapping ErrMode if the mode cannot be had on this kernel, one
// wrapping ErrLoad, and *ebpf.VerifierError where the verifier spoke, if the kernel
// refuses.
func Load(rs *Ruleset, table *rules.Table, shared Shared) (*Programs, error) {
	if err := rs.Mode.Check(); err != nil {
		return nil, err
	}
	go func() { // it takes a while
		defer func() { _ = recover() }() // who waits panics with the same
		kernel.SKB()
	}()
	programs, err := load(rs, table, shared, kernel.SKB)
	helper := kernel.SKB() == nil
	if isRefusal(err) && !helper && !rs.Mode.isNative() {
		var retried error
		if programs, retried = load(rs, table, shared, noSKB); retried == nil {
			helper, err = true, nil
		}
	}
	if isRefusal(err) && rs.Mode.isNative() {
		return nil, fmt.Errorf(`%w: %s: the kernel refuses to let XDP read the skb; set "mode" to "auto" or "tc": %w`, ErrMode, rs.Mode, err)
	}
	if err != nil {
		return nil, err
	}
	programs.checksumHelper = helper && rs.rewrites()
	return programs, nil
}

// isRefusal tells whether the verifier did not like a program: a kernel may have
// reasons of its own not to let it read an skb.
func isRefusal(err error) bool {
	return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EINVAL) || errors.Is(err, errNoKernelCalls)
}

// errNoKernelCalls is ENOTSUPP, which user space has no name for: without the JIT
// compiler, or with that of some processors, programs cannot call the kernel's
// functions (kernel/bpf/verifier.c, add_kfunc_call).
const errNoKernelCalls = unix.Errno(524)

func load(rs *Ruleset, table *rules.Table, shared Shared, access func() *kernel.SKBAccess) (*Programs, error) {
	spec, err := specify(rs, table, rs.Hooks(), access)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLoad, err)
	}
	maps := shared.replacements(spec)
	if err := flow.Configure(spec, maps[bpf.ProgramsMapFlows]); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLoad, err)
	}
	collection, err := loadCollection(spec, maps)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLoad, explained(err))
	}
	defer collection.Close()
	for _, name := range tables {
		if err := collection.Maps[name].Freeze(); err != nil {
			return nil, fmt.Errorf("%w: freeze map %s: %w", ErrLoad, name, err)
		}
	}
	return take(collection), nil
}

// explained returns what the kernel lacks, and which kernel has it, if it lacks
// something: its own answer is misleading then. Before Linux 5.11 it is the limit
// on locked memory, for maps that a newer kernel does not count.
func explained(err error) error {
	if lack := kernel.Ready(); errors.Is(lack, ebpf.ErrNotSupported) {
		return lack
	}
	return err
}

// specify reads the embedded programs and fits them to the ruleset, those for
// the hooks, and to the kernel.
func specify(rs *Ruleset, table *rules.Table, hooks Hooks, access func() *kernel.SKBAccess) (*ebpf.CollectionSpec, error) {
	spec, err := bpf.LoadPrograms()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	return spec, errors.Join(configure(spec, rs, table, hooks), readSKB(spec, access(), rs.Mode))
}

// tables are the maps that never change once they are loaded.
var tables = []string{
	bpf.ProgramsMapPortPages, bpf.ProgramsMapPortClasses, bpf.ProgramsMapPeerPrefixes, bpf.ProgramsMapRules,
}

// take moves the programs and maps out of a collection.
func take(collection *ebpf.Collection) *Programs {
	p := &Programs{
		FromContainer:   collection.DetachProgram(bpf.ProgramsProgFromContainer),
		FixUpChecksum:   collection.DetachProgram(bpf.ProgramsProgFixUpChecksum),
		FromContainerTC: collection.DetachProgram(bpf.ProgramsProgFromContainerTc),
		ToContainer:     collection.DetachProgram(bpf.ProgramsProgToContainer),
		maps:            make(map[string]*ebpf.Map, len(collection.Maps)),
	}
	for name := range collection.Maps {
		p.maps[name] = collection.DetachMap(name)
	}
	return p
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
	if rs.keepsFlows() { // else there is nothing to remember
		spec.Maps[bpf.ProgramsMapCachedDecisions].MaxEntries *= uint32(cpus)
	} else {
		spec.Maps[bpf.ProgramsMapCachedDecisions].MaxEntries = 1
	}
	return errors.Join(
		sizeNear(spec, len(rs.Rules), cpus),
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

// setFrags takes multi-buffer packets in native mode, which else refuses a large
// MTU, where the kernel has them (Linux 5.18).
//
// Not in generic mode: the kernel would copy each packet and lose the length
// of its link layer header on the way (net/core/skbuff.c, skb_pp_cow_data), so
// that whatever is at tc ingress behind us, the bandwidth plugin's redirection
// for one, took the Ethernet header for lost. It is slower, too.
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

// hasMultiBuffer tells whether XDP takes packets of several buffers, and has
// the helpers for them (Linux 5.18).
func hasMultiBuffer() bool {
	return kernel.Frags.Check() == nil
}

// sizeCounters gives each rule its pair of counters, in the type information
// too, so that bpftool shows them.
func sizeCounters(spec *ebpf.MapSpec, ruleCount int) {
	counters := btf.Copy(spec.Value).(*btf.Struct)
	array := counters.Members[len(counters.Members)-1].Type.(*btf.Array)
	element, _ := btf.Sizeof(array.Type)
	array.Nelems = uint32(ruleCount)
	counters.Size += uint32(ruleCount * element)
	spec.Value, spec.ValueSize = counters, counters.Size
}
