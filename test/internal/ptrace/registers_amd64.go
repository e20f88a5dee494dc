package ptrace

import "golang.org/x/sys/unix"

// noCall is a number that no system call has.
const noCall = ^uint64(0)

// skipCall makes the kernel serve no call. The thread must be at the entry of one.
func skipCall(tid int) error {
	return changeRegisters(tid, func(r *unix.PtraceRegs) error {
		r.Orig_rax = noCall
		return nil
	})
}

// changeResult edits the result of a call. The thread must be at its exit.
func changeResult(tid int, edit func(int64) (int64, error)) error {
	return changeRegisters(tid, func(r *unix.PtraceRegs) error {
		result, err := edit(int64(r.Rax))
		r.Rax = uint64(result)
		return err
	})
}

func changeRegisters(tid int, edit func(*unix.PtraceRegs) error) error {
	var registers unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &registers); err != nil {
		return err
	}
	if err := edit(&registers); err != nil {
		return err
	}
	return unix.PtraceSetRegs(tid, &registers)
}
