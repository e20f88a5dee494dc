package datapath

import (
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"
)

// flowImporter puts flows into a map that the kernel writes to, too. So a program
// does it, under the lock of the flow's bucket.
type flowImporter struct {
	to      *ebpf.Map
	program *ebpf.Program
}

func (i *flowImporter) add(record *programsFlowRecord) error {
	if i.program == nil {
		var err error
		if i.program, err = loadImporter(i.to); err != nil {
			return fmt.Errorf("%w: %w", ErrLoad, err)
		}
	}
	const ethernetHeader = 14
	packet := make([]byte, ethernetHeader, ethernetHeader+unsafe.Sizeof(*record))
	packet = append(packet, unsafe.Slice((*byte)(unsafe.Pointer(record)), unsafe.Sizeof(*record))...)
	result, err := i.program.Run(&ebpf.RunOptions{Data: packet})
	if err == nil && result != 0 {
		err = fmt.Errorf("the program %s returned %d", programsProgImportFlow, int32(result))
	}
	if err != nil {
		return fmt.Errorf("%w: copy a flow: %w", ErrAttach, err)
	}
	return nil
}

func (i *flowImporter) close() {
	_ = closeIfOpen(i.program)
}

// loadImporter loads the program for the flows in a map, and no more than that.
func loadImporter(flows *ebpf.Map) (*ebpf.Program, error) {
	all, err := loadPrograms()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	spec := &ebpf.CollectionSpec{
		Programs:  map[string]*ebpf.ProgramSpec{programsProgImportFlow: all.Programs[programsProgImportFlow]},
		Maps:      map[string]*ebpf.MapSpec{},
		Variables: map[string]*ebpf.VariableSpec{},
		Types:     all.Types, ByteOrder: all.ByteOrder,
	}
	for _, name := range []string{programsMapFlows, mapConstants} {
		spec.Maps[name] = all.Maps[name]
	}
	for name, variable := range all.Variables {
		if variable.SectionName == mapConstants {
			spec.Variables[name] = variable
		}
	}
	spec.Maps[programsMapFlows].MaxEntries = flows.MaxEntries()
	if err := findFlows(spec, flows); err != nil {
		return nil, err
	}
	collection, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		MapReplacements: map[string]*ebpf.Map{programsMapFlows: flows},
	})
	if err != nil {
		return nil, err
	}
	defer collection.Close()
	return collection.DetachProgram(programsProgImportFlow), nil
}

// mapConstants is the map of the programs' constants.
const mapConstants = ".rodata"
