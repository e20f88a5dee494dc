package kernel

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"
)

// QueryTCX asks the kernel whether it has tcx (Linux 6.6), by a query that needs
// no program.
func QueryTCX() error {
	_, err := link.QueryPrograms(link.QueryOptions{
		Target: loopbackIndex, Attach: ebpf.AttachTCXIngress,
	})
	// Older kernels do not know the kind of query.
	if errors.Is(err, unix.EINVAL) {
		return fmt.Errorf("%w: %w", ebpf.ErrNotSupported, err)
	}
	return err
}

// loopbackIndex is the same in every network namespace.
const loopbackIndex = 1
