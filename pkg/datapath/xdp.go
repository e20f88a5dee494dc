package datapath

import (
	"errors"
	"fmt"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrAttach is returned when the kernel refuses to attach a program. The
// message has the mend, as far as the kernel's answer tells it.
var ErrAttach = errors.New("the kernel refused to attach")

// ForeignError says that somebody else's XDP program is on a device, or any
// program of another attachment.
type ForeignError struct {
	Device Device
	ID     ebpf.ProgramID
	Name   string

	// atTC tells that it is at a tc hook, where only ours are in the way.
	atTC bool
	// holder is the attachment that has the device; empty where it is not known.
	holder string
}

// HeldBy returns the error for a device that another attachment is on, whatever
// its mode.
func HeldBy(dev Device, holder string) *ForeignError {
	return &ForeignError{Device: dev, holder: holder}
}

// isOurs tells whether it is a program of xdp-port, of another attachment.
func (e *ForeignError) isOurs() bool {
	return e.atTC || e.holder != "" || e.Name == programsProgFromContainer
}

func (e *ForeignError) Error() string {
	if e.holder != "" {
		return fmt.Sprintf("%s is under the rules of another network or container ID already: run DEL for that one first, %s",
			e.Device.Name, e.holder)
	}
	if e.isOurs() {
		return fmt.Sprintf("%s already has %s of xdp-port (id %d), of another network or container ID: "+
			"run DEL for that one first", e.Device.Name, e.kind(), e.ID)
	}
	return fmt.Sprintf("%s already has the XDP program %q (id %d), which is not xdp-port's: "+
		`detach it, or set "mode" to "auto" or "tc", which does without XDP`, e.Device.Name, e.Name, e.ID)
}

func (e *ForeignError) kind() string {
	if e.atTC {
		return "a tc program"
	}
	return "an XDP program"
}

// A program of ours whose link was only just closed, by a process that was killed
// say, can hold its slot for some more milliseconds: the kernel detaches it later
// (kernel/bpf/syscall.c, bpf_link_put).
const (
	busyTries = 10
	busyPause = 5 * time.Millisecond
)

func attachXDP(dev Device, program *ebpf.Program, mode Mode) (link.Link, error) {
	for try := 1; ; try++ {
		l, err := link.AttachXDP(link.XDPOptions{
			Program: program, Interface: dev.Index, Flags: mode.flags(),
		})
		if err == nil {
			return l, nil
		}
		foreign := foreignXDP(dev)
		if try < busyTries && isTaken(err) && (foreign == nil || foreign.isOurs()) {
			time.Sleep(busyPause)
			continue
		}
		if foreign != nil {
			return nil, foreign
		}
		return nil, fmt.Errorf("%w the XDP program to %s in %s mode: %w%s",
			ErrAttach, dev.Name, mode, err, xdpMend(err, mode))
	}
}

// isTaken tells whether a program is in the way, in the same mode or another
// (net/core/dev.c, dev_xdp_attach).
func isTaken(err error) bool { return errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST) }

// foreignXDP names the program that is on the device, or returns nil.
func foreignXDP(dev Device) *ForeignError {
	device, err := netlink.LinkByIndex(dev.Index)
	if err != nil || device.Attrs().Xdp == nil || !device.Attrs().Xdp.Attached {
		return nil
	}
	id := ebpf.ProgramID(device.Attrs().Xdp.ProgId)
	return &ForeignError{Device: dev, ID: id, Name: programName(id)}
}

func programName(id ebpf.ProgramID) string {
	program, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return "unknown"
	}
	defer program.Close()
	info, err := program.Info()
	if err != nil {
		return "unknown"
	}
	return info.Name
}

// xdpMend turns what the veth driver and the XDP core answer
// (drivers/net/veth.c veth_xdp_set, net/core/dev.c dev_xdp_attach) into advice.
func xdpMend(err error, mode Mode) string {
	switch {
	case mode == Offload:
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
