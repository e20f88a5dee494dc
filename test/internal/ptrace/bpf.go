//go:build linux && (amd64 || arm64)

package ptrace

import (
	"encoding/binary"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// Creates reports whether the call creates a BPF map of that type.
func (c Call) Creates(kind ebpf.MapType) bool { return c.isBPF(unix.BPF_MAP_CREATE, uint32(kind)) }

// Loads reports whether the call loads a BPF program of that type.
func (c Call) Loads(kind ebpf.ProgramType) bool { return c.isBPF(unix.BPF_PROG_LOAD, uint32(kind)) }

// isBPF compares the command and the type. The type is the first word of the
// attributes, which the second argument of bpf(2) points to.
func (c Call) isBPF(command uint64, kind uint32) bool {
	if c.Number != unix.SYS_BPF || c.Args[0] != command {
		return false
	}
	memory, err := os.Open(fmt.Sprintf("/proc/%d/mem", c.PID))
	if err != nil {
		return false
	}
	defer memory.Close()
	var first [4]byte
	_, err = memory.ReadAt(first[:], int64(c.Args[1]))
	return err == nil && binary.NativeEndian.Uint32(first[:]) == kind
}
