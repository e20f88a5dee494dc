package hook

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/pin"
)

// AttachXDP puts the program on the device, in the mode of the flags, and pins the
// link at the path.
//
// Returns an error wrapping ErrAttach or pin.ErrPin if the kernel refuses,
// *ForeignError if another program is in the way.
func AttachXDP(dev Device, program *ebpf.Program, mode link.XDPAttachFlags, path string) error {
	l, err := attachXDP(dev, program, mode)
	if err != nil {
		return err
	}
	return pin.KeepLink(l, path)
}

func attachXDP(dev Device, program *ebpf.Program, mode link.XDPAttachFlags) (link.Link, error) {
	for try := 1; ; try++ {
		l, err := link.AttachXDP(link.XDPOptions{
			Program: program, Interface: dev.Index, Flags: mode,
		})
		if err == nil {
			return l, nil
		}
		foreign := ForeignXDP(dev)
		if try < busyTries && isTaken(err) && (foreign == nil || foreign.isOurs()) {
			time.Sleep(busyPause)
			continue
		}
		if foreign != nil {
			return nil, foreign
		}
		return nil, fmt.Errorf("%w: attach the XDP program to %s in %s mode: %w%s",
			ErrAttach, dev.Name, modeWord(mode), err, xdpFix(err, mode))
	}
}

// isTaken reports whether another program holds the slot, in any mode (net/core/dev.c, dev_xdp_attach).
func isTaken(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) }

// ForeignXDP names the XDP program on the device; it returns nil if there is none.
func ForeignXDP(dev Device) *ForeignError {
	device, err := netlink.LinkByIndex(dev.Index)
	if err != nil || device.Attrs().Xdp == nil || !device.Attrs().Xdp.Attached {
		return nil
	}
	id := ebpf.ProgramID(device.Attrs().Xdp.ProgId)
	return &ForeignError{Device: dev, ID: id, Name: ProgramName(id)}
}

// modeWord is the configuration's word for the mode.
func modeWord(mode link.XDPAttachFlags) string {
	switch mode {
	case link.XDPDriverMode:
		return "native"
	case link.XDPOffloadMode:
		return "offload"
	}
	return "generic"
}

// xdpFix turns an answer of the veth driver or the XDP core into advice
// (drivers/net/veth.c, veth_xdp_set; net/core/dev.c, dev_xdp_attach).
func xdpFix(err error, mode link.XDPAttachFlags) string {
	switch {
	case mode == link.XDPOffloadMode:
		return `: a veth takes no offloaded program, set "mode" to "auto"`
	case errors.Is(err, unix.ERANGE):
		return `: the container's MTU is too large for native mode, lower it or set "mode" to "generic"`
	case errors.Is(err, unix.ENOSPC):
		return `: the host side has fewer rx queues than the container has tx queues, ` +
			`make them equal (ethtool -L) or set "mode" to "generic"`
	case errors.Is(err, unix.EPERM):
		return ": CAP_NET_ADMIN and CAP_BPF are needed in the host's network namespace"
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return `: the driver or the kernel lacks this mode (bpf_link for XDP needs Linux 5.9), set "mode" to "generic"`
	}
	return ""
}
