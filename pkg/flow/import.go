package flow

import (
	"fmt"
	"unsafe"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// importer puts flows into a map that the kernel writes to, too. So a program
// does it, under the lock of the flow's bucket.
type importer struct {
	to      *ebpf.Map
	program *ebpf.Program
}

func (i *importer) add(record *bpf.ProgramsFlowRecord) error {
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
		err = fmt.Errorf("the program %s returned %d", bpf.ProgramsProgImportFlow, int32(result))
	}
	if err != nil {
		return fmt.Errorf("copy a flow: %w", err)
	}
	return nil
}

func (i *importer) close() {
	_ = i.program.Close()
}

// loadImporter loads the program for the flows in a map, and no more than that.
func loadImporter(flows *ebpf.Map) (*ebpf.Program, error) {
	all, err := bpf.LoadPrograms()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	spec := &ebpf.CollectionSpec{
		Programs:  map[string]*ebpf.ProgramSpec{bpf.ProgramsProgImportFlow: all.Programs[bpf.ProgramsProgImportFlow]},
		Maps:      map[string]*ebpf.MapSpec{},
		Variables: map[string]*ebpf.VariableSpec{},
		Types:     all.Types, ByteOrder: all.ByteOrder,
	}
	for _, name := range []string{bpf.ProgramsMapFlows, bpf.MapConstants} {
		spec.Maps[name] = all.Maps[name]
	}
	for name, variable := range all.Variables {
		if variable.SectionName == bpf.MapConstants {
			spec.Variables[name] = variable
		}
	}
	spec.Maps[bpf.ProgramsMapFlows].MaxEntries = flows.MaxEntries()
	if err := Configure(spec, flows); err != nil {
		return nil, err
	}
	collection, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{
		MapReplacements: map[string]*ebpf.Map{bpf.ProgramsMapFlows: flows},
	})
	if err != nil {
		return nil, err
	}
	defer collection.Close()
	return collection.DetachProgram(bpf.ProgramsProgImportFlow), nil
}
