package datapath

import "github.com/vishvananda/netlink"

// Device is the host side of a veth, in the current network namespace. Its
// name is at most 15 bytes long.
type Device struct {
	Index int
	Name  string
}

// Exists tells whether the device is still the one that it was: its index may
// have been given to another.
func (d Device) Exists() bool {
	device, err := netlink.LinkByIndex(d.Index)
	return err == nil && device.Attrs().Name == d.Name
}
