package datapath

import (
	"errors"
	"io"
	"os"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"
)

// kernelCast is a function of the kernel by which a program gets at the skb
// behind its context (kernel/bpf/helpers.c, Linux 6.2).
const kernelCast = "bpf_cast_to_kern_ctx"

// skbAccess is what a program needs to read the kernel's struct sk_buff.
type skbAccess struct {
	cast   int64 // the BTF type of kernelCast
	layout programsSkbLayout
}

// readSKB lets the programs read what an skb says of its checksum, or tells them
// to do without.
func readSKB(spec *ebpf.CollectionSpec, access *skbAccess, mode Mode) error {
	calls := map[string]int64{}
	var layout programsSkbLayout
	var xdp programsXdpLayout
	if access != nil {
		layout, calls[kernelCast] = access.layout, access.cast
	}
	if mode.isNative() {
		found, err := kernelXDP()
		if err != nil {
			return err
		}
		xdp, calls[readOnlyCast] = found.layout, found.cast
	}
	callKernel(spec, calls)
	return errors.Join(
		spec.Variables[programsVarSkbLayout].Set(layout),
		spec.Variables[programsVarReadsSkb].Set(asByte(access != nil)),
		spec.Variables[programsVarXdpLayout].Set(xdp),
	)
}

// callKernel fills the BTF types of the kernel's functions into the calls.
// Functions that are not named are never called: the verifier does not get there,
// but wants another instruction in place of the call.
func callKernel(spec *ebpf.CollectionSpec, types map[string]int64) {
	for _, program := range spec.Programs {
		for i := range program.Instructions {
			instruction := &program.Instructions[i]
			if !instruction.IsKfuncCall() {
				continue
			}
			call := asm.Mov.Imm(asm.R0, 0)
			if id, found := types[instruction.Reference()]; found {
				call = asm.Instruction{
					OpCode: asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call),
					Src:    asm.PseudoKfuncCall, Constant: id,
				}
			}
			*instruction = call
		}
	}
}

// kernelSKB returns what the running kernel says of its struct sk_buff, nil where
// it does not say enough.
var kernelSKB = sync.OnceValue(func() *skbAccess {
	file, err := os.Open("/sys/kernel/btf/vmlinux")
	if err != nil {
		return nil
	}
	defer file.Close()
	blob, done, err := contents(file)
	if err != nil {
		return nil
	}
	defer done()
	access, err := findSKB(blob)
	if err != nil {
		return nil
	}
	return access
})

func noSKB() *skbAccess { return nil }

// contents maps a file into memory or, where the kernel cannot do that (BTF before
// Linux 6.16), reads it, by a page a system call.
func contents(file *os.File) (blob []byte, done func(), err error) {
	info, err := file.Stat()
	if err != nil {
		return nil, nil, err
	}
	blob, err = unix.Mmap(int(file.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_PRIVATE)
	if err == nil {
		return blob, func() { _ = unix.Munmap(blob) }, nil
	}
	blob, err = readAtOnce(file, info.Size())
	return blob, func() {}, err
}

// readAtOnce is io.ReadAll where the size is known: without copying what was read
// so far again and again, which is most of it in a file of megabytes.
func readAtOnce(file io.Reader, size int64) ([]byte, error) {
	blob := make([]byte, size)
	_, err := io.ReadFull(file, blob)
	return blob, err
}

// findSKB looks for what is needed in a kernel's BTF. The library would first
// make an index of all of it, in 16 ms, where loading all else takes 20.
func findSKB(blob []byte) (*skbAccess, error) {
	types, err := parseBTF(blob)
	if err != nil {
		return nil, err
	}
	cast, errCast := types.named(kernelCast, kindFunc)
	skb, errSKB := types.named("sk_buff", kindStruct)
	if err := errors.Join(errCast, errSKB); err != nil {
		return nil, err
	}
	var errs []error
	bit := func(name string) uint32 {
		at, err := types.member(skb, name)
		errs = append(errs, err)
		return at
	}
	access := &skbAccess{int64(cast), programsSkbLayout{
		IpSummed:      bit("ip_summed") / 8,
		IpSummedShift: bit("ip_summed") % 8,
		CsumStart:     bit("csum_start") / 8,
		CsumOffset:    bit("csum_offset") / 8,
		MacHeader:     bit("mac_header") / 8,
	}}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	// Native mode alone reads it, and does without kernels that lack it.
	if at, err := types.member(skb, vlanTag); err == nil {
		access.layout.VlanAll = at / 8
	}
	return access, nil
}
