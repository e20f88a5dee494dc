package pin

import (
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// What ADD does for a ruleset that is loaded, it does by the system call itself
// where the library would first try what the kernel knows of maps, and for that
// look for a BPF token at all mounts. A node with a thousand containers has
// thousands of mounts: with a thousand, ADD took 9 ms, and takes 6 so.

// newElement makes an array of one element of so many bytes.
func newElement(name string, size int) (*ebpf.Map, error) {
	attr := struct { // of BPF_MAP_CREATE, include/uapi/linux/bpf.h
		mapType, keySize, valueSize, maxEntries, flags, innerMap, numaNode uint32
		name                                                               [unix.BPF_OBJ_NAME_LEN]byte
	}{mapType: unix.BPF_MAP_TYPE_ARRAY, keySize: 4, valueSize: uint32(size), maxEntries: 1}
	copy(attr.name[:len(attr.name)-1], name)
	fd, err := bpfCall(unix.BPF_MAP_CREATE, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err != nil {
		return nil, err
	}
	return ebpf.NewMapFromFD(fd)
}

func bpfCall(command int, attr unsafe.Pointer, size uintptr) (fd int, err error) {
	result, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
	if errno != 0 {
		return 0, errno
	}
	return int(result), nil
}
