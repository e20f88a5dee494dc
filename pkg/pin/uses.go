package pin

import (
	"fmt"
	"runtime"
	"slices"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Uses reports whether a program uses a map. The library would read the program's
// instructions and BTF as well.
func Uses(program *ebpf.Program, m *ebpf.Map) (bool, error) {
	var is struct{ kind, id uint32 } // the beginning of struct bpf_map_info
	if err := objectInfo(m.FD(), unsafe.Pointer(&is), unsafe.Sizeof(is)); err != nil {
		return false, fmt.Errorf("read a map's ID: %w", err)
	}
	const most = 64 // MAX_USED_MAPS
	var ids [most]uint32
	uses := struct { // the beginning of struct bpf_prog_info
		_        [52]byte
		mapCount uint32
		mapIDs   uint64
	}{mapCount: most, mapIDs: uint64(uintptr(unsafe.Pointer(&ids)))}
	err := objectInfo(program.FD(), unsafe.Pointer(&uses), unsafe.Sizeof(uses))
	runtime.KeepAlive(&ids)
	if err != nil {
		return false, fmt.Errorf("read the list of a program's maps: %w", err)
	}
	return slices.Contains(ids[:min(most, uses.mapCount)], is.id), nil
}

// objectInfo reads the beginning of what the kernel reports about an object.
func objectInfo(fd int, info unsafe.Pointer, size uintptr) error {
	attr := struct { // of BPF_OBJ_GET_INFO_BY_FD
		fd, size uint32
		info     uint64
	}{fd: uint32(fd), size: uint32(size), info: uint64(uintptr(info))}
	_, err := bpfCall(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	runtime.KeepAlive(info)
	return err
}
