package datapath

import (
	"errors"
	"sync"

	"github.com/cilium/ebpf"
)

// loadCollection is ebpf.NewCollectionWithOptions, but has the kernel verify
// the programs side by side: that is most of what loading takes.
func loadCollection(spec *ebpf.CollectionSpec, shared map[string]*ebpf.Map) (*ebpf.Collection, error) {
	collection, err := ebpf.NewCollectionWithOptions(only(spec, ""), ebpf.CollectionOptions{MapReplacements: shared})
	if err != nil {
		return nil, err
	}
	var group sync.WaitGroup
	var mutex sync.Mutex
	var errs []error
	for name := range spec.Programs {
		group.Go(func() {
			program, err := loadProgram(only(spec, name), name, collection.Maps)
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

func loadProgram(spec *ebpf.CollectionSpec, name string, maps map[string]*ebpf.Map) (*ebpf.Program, error) {
	collection, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: maps})
	if err != nil {
		return nil, err
	}
	defer collection.Close()
	return collection.DetachProgram(name), nil
}

// only returns a copy of the specification with that program alone, or none.
func only(spec *ebpf.CollectionSpec, program string) *ebpf.CollectionSpec {
	part := *spec
	part.Programs = map[string]*ebpf.ProgramSpec{}
	if p := spec.Programs[program]; p != nil {
		part.Programs[program] = p
	}
	return part.Copy()
}
