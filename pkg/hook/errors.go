package hook

import (
	"errors"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// ErrAttach is returned when the kernel refuses to attach a program. The message has the fix, if known.
var ErrAttach = errors.New("attach error")

// ErrDetach is returned when the kernel refuses to detach a program. The message names it.
var ErrDetach = errors.New("detach error")

// ErrInspect is returned when the kernel does not say what is on a device.
var ErrInspect = errors.New("interface inspection error")

// isAbsent reports whether an error says that the device or the kind of hook does not exist.
func isAbsent(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EINVAL) ||
		errors.Is(err, ebpf.ErrNotSupported)
}
