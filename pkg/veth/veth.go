// Package veth finds the host side of a container's interface: the other end of
// the veth pair, in the network namespace that the plugin runs in.
//
// It asks the kernel, and the kernel alone. What the plugins before said in
// prevResult may be sparse, and the first veth of a container need not be the
// one that CNI means.
package veth

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ErrNoVeth is returned when the interface has no host side here: it is not
// there, it is no veth, or its peer is elsewhere.
var ErrNoVeth = errors.New("the interface has no host side here")

// ErrUnknown is returned when the kernel refuses to say where the interface's
// host side is, for lack of memory for one.
var ErrUnknown = errors.New("the interface's host side cannot be found out")

// End is one end of a veth pair, by its index and name in its own namespace.
type End struct {
	Index int
	Name  string
	// Address is its hardware address.
	Address string
	// Serial is what SerialOf says, of a host side alone.
	Serial uint64
}

// Pair is a veth pair whose Host end is in the caller's network namespace.
type Pair struct {
	Host, Container End
}

// HostSide returns the pair that the interface ifname of the network namespace
// at netnsPath, any path that leads to one, belongs to. Both ends are asked
// for the other, since an index alone means nothing across namespaces.
//
// Returns an error wrapping ErrNetNS, ErrNoVeth or ErrUnknown.
func HostSide(netnsPath, ifname string) (*Pair, error) {
	container, err := openForeign(netnsPath)
	if err != nil {
		return nil, err
	}
	defer container.Close()
	inside, err := vethIn(container, netnsPath, ifname)
	if err != nil {
		return nil, err
	}
	host, err := peerOf(inside, container, netnsPath)
	if err != nil {
		return nil, err
	}
	pair := &Pair{Host: endOf(host), Container: endOf(inside)}
	pair.Host.Serial = SerialOf(pair.Host.Index, pair.Host.Name)
	return pair, nil
}

func endOf(link netlink.Link) End {
	return End{Index: link.Attrs().Index, Name: link.Attrs().Name, Address: link.Attrs().HardwareAddr.String()}
}

// vethIn returns the container's interface, which must be a veth.
func vethIn(container netns.NsHandle, path, ifname string) (netlink.Link, error) {
	handle, err := handleIn(container)
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("%w %q cannot be entered, CAP_SYS_ADMIN is needed: %w", ErrNetNS, path, err)
	case err != nil:
		return nil, fmt.Errorf("%w %q cannot be entered: %w", ErrNetNS, path, err)
	}
	defer handle.Close()
	link, err := handle.LinkByName(ifname)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return nil, fmt.Errorf("%w: %q is not in the network namespace %q: put xdp-port behind the plugin "+
			"that makes it", ErrNoVeth, ifname, path)
	case err != nil:
		return nil, fmt.Errorf("%w: look for %q in the network namespace %q: %w", ErrUnknown, ifname, path, err)
	case link.Type() != "veth":
		return nil, fmt.Errorf("%w: %q in the network namespace %q is a %s, not a veth, and xdp-port works with veths "+
			"alone: %s", ErrNoVeth, ifname, path, kindOf(link), adviceFor(kindOf(link)))
	}
	return link, nil
}

// adviceFor says what to do about an interface of another kind.
func adviceFor(kind string) string {
	switch kind {
	case "loopback":
		return "leave it out of the loopback's network"
	case "netkit":
		return "have the network make veths (Cilium: bpf.datapathMode=veth)"
	}
	return "have the network make veths, as bridge, ptp and most networks for pods do"
}

// kindOf names what a link is; the loopback has no kind of its own.
func kindOf(link netlink.Link) string {
	if link.Attrs().Flags&net.FlagLoopback != 0 {
		return "loopback"
	}
	return link.Type()
}
