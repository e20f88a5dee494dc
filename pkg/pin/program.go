package pin

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// OpenProgram opens the program that is pinned in dir.
//
// Returns an error wrapping ErrPin, and os.ErrNotExist if there is none.
func OpenProgram(dir, name string) (*ebpf.Program, error) {
	program, err := loadPinnedProgram(filepath.Join(dir, bpf.PinName(name)))
	if err != nil {
		return nil, fmt.Errorf("%w: open the program %s: %w", ErrPin, name, err)
	}
	return program, nil
}

// loadPinnedProgram opens a program pinned at a path.
func loadPinnedProgram(path string) (*ebpf.Program, error) {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return nil, err
	}
	attr := struct { // of BPF_OBJ_GET
		path      uint64
		fd, flags uint32
	}{path: uint64(uintptr(unsafe.Pointer(name)))}
	fd, err := bpfCall(unix.BPF_OBJ_GET, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(name)
	if err != nil {
		return nil, err
	}
	return ebpf.NewProgramFromFD(fd)
}

// PinnedProgramID asks the kernel for the ID of the program that is pinned in dir.
func PinnedProgramID(dir, name string) (ebpf.ProgramID, error) {
	program, err := OpenProgram(dir, name)
	if err != nil {
		return 0, err
	}
	defer program.Close()
	return ProgramID(program)
}

// ProgramID asks the kernel for the ID of a program.
func ProgramID(program *ebpf.Program) (ebpf.ProgramID, error) {
	info, err := program.Info()
	if err != nil {
		return 0, fmt.Errorf("read a program's ID: %w", err)
	}
	id, ok := info.ID()
	if !ok {
		return 0, errors.New("the kernel does not report a program's ID")
	}
	return id, nil
}
