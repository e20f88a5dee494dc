package datapath

import (
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
)

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
