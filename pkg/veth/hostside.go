// Package veth finds the host side of a container's interface: the other end of
// the veth pair, in the network namespace in which the plugin runs.
//
// Only the kernel's answer counts. The prevResult of the plugins before may be
// sparse, and the first veth of a container may not be the one that CNI means.
package veth

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// End is one end of a veth pair. Index and Name are those in its own namespace.
type End struct {
	Index int
	Name  string
	// Address is the hardware address.
	Address string
	// Serial is the result of SerialOf. Only a host side has it.
	Serial uint64
}

// Pair is a veth pair. Its host end is in the caller's network namespace.
type Pair struct {
	Host, Container End
}

// HostSide returns the veth pair of the interface ifname in the network namespace
// at netnsPath.
//
// Each end must name the other one as its peer, because an index alone says nothing
// across namespaces. Errors wrap ErrNetNS, ErrNoVeth or ErrLookup.
func HostSide(netnsPath, ifname string) (*Pair, error) {
	container, err := openContainer(netnsPath)
	if err != nil {
		return nil, err
	}
	defer container.Close()
	shown := shorten(netnsPath)
	inside, err := vethIn(container, shown, ifname)
	if err != nil {
		return nil, err
	}
	host, err := peerOf(inside, container, shown)
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

// vethIn returns the container's interface, and an error if that is no veth.
func vethIn(container netns.NsHandle, path, ifname string) (netlink.Link, error) {
	handle, err := handleIn(container)
	switch {
	case errors.Is(err, unix.EPERM):
		return nil, fmt.Errorf("%w: %q cannot be entered without CAP_SYS_ADMIN: %w", ErrNetNS, path, err)
	case err != nil:
		return nil, fmt.Errorf("%w: %q cannot be entered: %w", ErrNetNS, path, err)
	}
	defer handle.Close()
	link, err := handle.LinkByName(ifname)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return nil, fmt.Errorf("%w: %q is not in the network namespace %q: list xdp-port after the plugin "+
			"that makes the interface", ErrNoVeth, ifname, path)
	case err != nil:
		return nil, fmt.Errorf("%w: find %q in the network namespace %q: %w", ErrLookup, ifname, path, err)
	case link.Type() != "veth":
		return nil, fmt.Errorf("%w: %q in the network namespace %q is a %s, and xdp-port needs a veth: %s",
			ErrNoVeth, ifname, path, kindOf(link), adviceFor(kindOf(link)))
	}
	return link, nil
}

// adviceFor returns the fix for an interface of another kind.
func adviceFor(kind string) string {
	switch kind {
	case "loopback":
		return "remove xdp-port from the loopback's network"
	case "netkit":
		return "configure the network to make veths (Cilium: bpf.datapathMode=veth)"
	}
	return "use a network that makes veths, as bridge, ptp and most pod networks do"
}

// kindOf returns the kind of a link. The kernel has no kind for the loopback.
func kindOf(link netlink.Link) string {
	if link.Attrs().Flags&net.FlagLoopback != 0 {
		return "loopback"
	}
	return link.Type()
}
