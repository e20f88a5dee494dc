package kernel

import (
	"errors"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// CastToKernel is a function of the kernel by which a program gets at the skb
// behind its context (kernel/bpf/helpers.c, Linux 6.2).
const CastToKernel = "bpf_cast_to_kern_ctx"

// SKBAccess is what a program needs to read the kernel's struct sk_buff.
type SKBAccess struct {
	Cast   int64 // the BTF type of CastToKernel
	Layout bpf.ProgramsSkbLayout
}

// SKB returns what the running kernel says of its struct sk_buff, nil where
// it does not say enough.
var SKB = sync.OnceValue(func() *SKBAccess {
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
func findSKB(blob []byte) (*SKBAccess, error) {
	types, err := parseBTF(blob)
	if err != nil {
		return nil, err
	}
	cast, errCast := types.named(CastToKernel, kindFunc)
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
	access := &SKBAccess{int64(cast), bpf.ProgramsSkbLayout{
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
		access.Layout.VlanAll = at / 8
	}
	return access, nil
}
