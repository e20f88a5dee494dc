package datapath

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Device is the host side of a veth, in the current network namespace. Its
// name is at most 15 bytes long.
type Device struct {
	Index int
	Name  string
}

// Exists tells whether the device is still the one that it was, by its name: its
// index may have been given to another. It asks by an ioctl, since netlink would
// have it wait for everybody who attaches something.
//
// Returns an error wrapping ErrAttach if the kernel cannot be asked.
func (d Device) Exists() (bool, error) {
	name, err := d.nameByIndex()
	if errors.Is(err, unix.ENODEV) {
		return false, nil
	}
	if err != nil {
		return false, d.unknown(err)
	}
	return name == d.Name, nil
}

// CurrentName is what a device that is there is called by now: somebody may have
// given it another name.
func (d Device) CurrentName() string {
	if name, err := d.nameByIndex(); err == nil {
		return name
	}
	return d.Name
}

func (d Device) nameByIndex() (string, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq(d.Name)
	if err != nil {
		return "", err
	}
	request.SetUint32(uint32(d.Index))
	if err := unix.IoctlIfreq(socket, unix.SIOCGIFNAME, request); err != nil {
		return "", err
	}
	return request.Name(), nil
}

func (d Device) unknown(err error) error {
	return fmt.Errorf("%w: ask whether the device %s is there: %w", ErrAttach, d.Name, err)
}

// Site is a device and what there is on it that is not of any attachment on
// record, or of another's.
type Site struct {
	Device Device
	// HasForeignXDP tells that somebody else's XDP program is there.
	HasForeignXDP bool
	// Filters are the clsact filters there that are ours.
	Filters []Filter
}

// Survey looks at a device. The kernel answers when whoever attaches something
// to any device is done, so this is nothing to do while others wait, too.
//
// Returns an error wrapping ErrAttach.
func Survey(dev Device) (Site, error) {
	filters, err := Filters(dev)
	return Site{dev, hasForeignXDP(dev), filters}, err
}
