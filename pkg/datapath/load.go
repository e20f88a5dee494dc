package datapath

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpf"
	"github.com/xdp-port/xdp-port/pkg/flow"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// ErrLoad is returned when the kernel refuses the programs or their maps.
var ErrLoad = errors.New("program load error")

// Load loads the programs and the tables of a ruleset into the kernel. It attaches nothing. Maps of
// the same kind in shared are used instead of new ones.
//
// Returns an error wrapping ErrMode if the kernel does not have the mode. If the kernel refuses it
// returns one wrapping ErrLoad, and *ebpf.VerifierError if the verifier did.
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

// isRefusal reports whether the verifier refused a program. A kernel may refuse to let it read an skb.
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

// explained returns the missing feature, and the kernel that has it, where a feature is missing: then
// the kernel's own answer is misleading. Before Linux 5.11 that is the limit on locked memory.
func explained(err error) error {
	if lack := kernel.Ready(); errors.Is(lack, ebpf.ErrNotSupported) {
		return lack
	}
	return err
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

// loadCollection is ebpf.NewCollectionWithOptions, but has the kernel verify
// the programs side by side: that is most of what loading takes.
func loadCollection(spec *ebpf.CollectionSpec, shared map[string]*ebpf.Map) (*ebpf.Collection, error) {
	collection, err := loadMaps(spec, shared)
	if err != nil {
		return nil, err
	}
	var group sync.WaitGroup
	var mutex sync.Mutex
	var errs []error
	for name, spec := range spec.Programs {
		group.Go(func() {
			program, err := loadProgram(spec, collection.Maps)
			mutex.Lock()
			defer mutex.Unlock()
			if errs = append(errs, err); err == nil {
				collection.Programs[name] = program
			}
		})
	}
	group.Wait()
	if err := errors.Join(errs...); err != nil {
		collection.Close()
		return nil, err
	}
	return collection, nil
}

func loadMaps(spec *ebpf.CollectionSpec, shared map[string]*ebpf.Map) (*ebpf.Collection, error) {
	maps := *spec
	maps.Programs = nil
	return ebpf.NewCollectionWithOptions(&maps, ebpf.CollectionOptions{MapReplacements: shared})
}

func loadProgram(spec *ebpf.ProgramSpec, maps map[string]*ebpf.Map) (*ebpf.Program, error) {
	spec = spec.Copy()
	for i := range spec.Instructions {
		instruction := &spec.Instructions[i]
		if !instruction.IsLoadFromMap() {
			continue
		}
		name := instruction.Reference()
		if err := instruction.AssociateMap(maps[name]); err != nil {
			return nil, fmt.Errorf("program %s: map %s: %w", spec.Name, name, err)
		}
	}
	program, err := ebpf.NewProgram(spec)
	if err != nil {
		return nil, fmt.Errorf("program %s: %w", spec.Name, err)
	}
	return program, nil
}
