package attachment

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// Presence says where the device of an attachment is.
type Presence int

// The kinds of presence.
const (
	// Undetermined says that this cannot be decided. The attachment is reported and left
	// alone.
	Undetermined Presence = iota
	// Here says that the device is in this network namespace.
	Here
	// Gone says that the device does not exist any more, and neither does what was attached
	// to it.
	Gone
	// Elsewhere says that the device is in another network namespace.
	Elsewhere
)

// Interface is the present state of the interface of an attachment.
type Interface struct {
	Presence Presence
	// Device is the host side. It has its present name if it is here.
	Device hook.Device
	// Bare reports that nothing of the attachment is on the device.
	Bare bool
	// Why says why the device is not here.
	Why string
}

// Locate decides whether the interface of the attachment is still the same, as seen from
// own, the network namespace of the caller. All operations use it.
//
// Neither a name, an address nor a time decides that. A link, and a filter by its
// name, are on the device that they were attached to, or on none. A link's device may
// be in another namespace, where it keeps its index: the device with that index here
// must have the recorded serial number. So must the device at the index where no link
// and no filter is left. If the serial number is not known there, the same address
// tells that it is the one, and another address tells nothing.
func (folder Folder) Locate(record *Record, own veth.NetNS) Interface {
	index, links, err := placedLinks(folder)
	found := Interface{Device: record.Device}
	switch {
	case err != nil:
		found.Why = err.Error()
	case !record.NetNS.Is(own):
		found.locateFromAfar(record, own, index, links)
	case index != 0:
		found.Device.Index = index
		found.locateByLink()
	default:
		found.locateByIndex(record)
	}
	return found
}

// LocateKept is Locate for a record of Folder.Kept, which has nothing attached.
func LocateKept(record *Record, own veth.NetNS) Interface {
	found := Interface{Device: record.Device}
	if record.NetNS.Is(own) {
		found.locateByIndex(record)
	} else {
		found.locateFromAfar(record, own, 0, 0)
	}
	return found
}

// locateFromAfar decides by the links alone, since other network namespaces are not visible.
func (i *Interface) locateFromAfar(record *Record, own veth.NetNS, index, links int) {
	switch {
	case index != 0:
		i.Presence, i.Why = Elsewhere, "its device is in another network namespace"
	case record.NetNS.IsSucceededBy(own):
		i.Presence, i.Why = Gone, fmt.Sprintf("its device %s is gone, with its network namespace", i.Device.Name)
	case links > 0:
		i.Presence, i.Why = Gone, i.isGone()
	default:
		i.Presence, i.Why = Elsewhere, "its device was in another network namespace, and cannot be seen from here"
	}
}

func (i *Interface) isGone() string {
	return fmt.Sprintf("its device %s (index %d) is gone", i.Device.Name, i.Device.Index)
}

// locateByLink is for an attachment with a link on its device, which exists in some
// namespace. A device that was moved keeps its index there, and another device of this
// namespace may get the same index.
func (i *Interface) locateByLink() {
	name, err := nameByIndex(i.Device.Index)
	switch {
	case errors.Is(err, unix.ENODEV):
		i.Presence, i.Why = Elsewhere, i.wasMoved()
	case err != nil:
		i.Why = i.cannotAsk(err)
	case i.isAnother(name):
		i.Presence, i.Why = Elsewhere, i.wasMoved()+fmt.Sprintf(", and %s has its index", name)
	default:
		i.Presence, i.Device.Name = Here, name
	}
}

func (i *Interface) wasMoved() string {
	return fmt.Sprintf("its device %s (index %d) was moved to another network namespace", i.Device.Name, i.Device.Index)
}

// isAnother reports whether the device with this name has another serial number. An
// earlier build recorded none.
func (i *Interface) isAnother(name string) bool {
	if i.Device.Serial == 0 {
		return false
	}
	serial := veth.SerialOf(i.Device.Index, name)
	return serial != 0 && serial != i.Device.Serial
}

// locateByIndex is for an attachment without links.
func (i *Interface) locateByIndex(record *Record) {
	isPlaced, err := record.placement().HasFilter()
	if err != nil {
		i.Why = i.cannotAsk(err)
		return
	}
	i.Bare = !isPlaced
	device, err := netlink.LinkByIndex(i.Device.Index)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		i.Presence, i.Bare, i.Why = Gone, false, i.isGone()
	case err != nil:
		i.Why = i.cannotAsk(err)
	case isPlaced:
		i.Presence, i.Device.Name = Here, device.Attrs().Name
	default:
		i.compare(device.Attrs())
	}
}

// compare compares the recorded device with the one that has its index and nothing of the attachment.
func (i *Interface) compare(device *netlink.LinkAttrs) {
	serial := uint64(0)
	if i.Device.Serial != 0 {
		serial = veth.SerialOf(device.Index, device.Name)
	}
	address := device.HardwareAddr.String()
	switch {
	case serial != 0 && serial != i.Device.Serial:
		i.Presence, i.Bare = Gone, false
		i.Why = i.isGone() + fmt.Sprintf(", and %s has its index", device.Name)
	case serial != 0, i.Device.Address == "", i.Device.Address == address:
		i.Presence, i.Device.Name = Here, device.Name
	default:
		i.Why = fmt.Sprintf("it cannot be determined whether its device %s is %s: both have index %d, but one had the address %s and the other has %s",
			i.Device.Name, device.Name, device.Index, i.Device.Address, address)
	}
}

func (i *Interface) cannotAsk(err error) string {
	return fmt.Sprintf("it cannot be determined whether its device %s exists: %v", i.Device.Name, err)
}

// nameByIndex asks by an ioctl. Netlink would wait for everyone who attaches something.
func nameByIndex(index int) (string, error) {
	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(socket)
	request, err := unix.NewIfreq("")
	if err != nil {
		return "", err
	}
	request.SetUint32(uint32(index))
	if err := unix.IoctlIfreq(socket, unix.SIOCGIFNAME, request); err != nil {
		return "", err
	}
	return request.Name(), nil
}
