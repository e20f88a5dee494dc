package ptrace

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// skipCall makes the kernel serve no call. The thread must be at the entry of one.
//
// The number of the call has its own register set, because the kernel has already
// read x8.
func skipCall(tid int) error {
	number := int32(-1)
	set := unix.Iovec{Base: (*byte)(unsafe.Pointer(&number)), Len: uint64(unsafe.Sizeof(number))}
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_SETREGSET,
		uintptr(tid), unix.NT_ARM_SYSTEM_CALL, uintptr(unsafe.Pointer(&set)), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

// changeResult edits the result of a call. The thread must be at its exit.
func changeResult(tid int, edit func(int64) (int64, error)) error {
	var registers unix.PtraceRegsArm64
	if err := unix.PtraceGetRegSetArm64(tid, unix.NT_PRSTATUS, &registers); err != nil {
		return err
	}
	result, err := edit(int64(registers.Regs[0]))
	if err != nil {
		return err
	}
	registers.Regs[0] = uint64(result)
	return unix.PtraceSetRegSetArm64(tid, unix.NT_PRSTATUS, &registers)
}
