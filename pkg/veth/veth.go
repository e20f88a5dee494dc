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

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// ErrNetNS is returned when the container's network namespace is of no use: it
// is not there, or it is the host's own.
var ErrNetNS = errors.New("the container's network namespace")

// ErrNoVeth is returned when the interface has no host side here: it is not
// there, it is no veth, or its peer is elsewhere.
var ErrNoVeth = errors.New("the interface has no host side here")

// End is one end of a veth pair, by its index and name in its own namespace.
type End struct {
	Index int
	Name  string
}

// Pair is a veth pair whose Host end is in the caller's network namespace.
type Pair struct {
	Host, Container End
}

// HostSide returns the pair that the interface ifname of the network namespace
// at netnsPath, any path that leads to one, belongs to. Both ends are asked
// for the other, since an index alone means nothing across namespaces.
//
// Returns an error wrapping ErrNetNS or ErrNoVeth.
func HostSide(netnsPath, ifname string) (*Pair, error) {
	container, err := openForeign(netnsPath)
	if err != nil {
		return nil, err
	}
	defer container.Close()
	inside, err := veth(container, netnsPath, ifname)
	if err != nil {
		return nil, err
	}
	host, err := peerOf(inside, container, netnsPath)
	if err != nil {
		return nil, err
	}
	return &Pair{Host: endOf(host), Container: endOf(inside)}, nil
}

func endOf(link netlink.Link) End {
	return End{Index: link.Attrs().Index, Name: link.Attrs().Name}
}

// openForeign opens a namespace that must not be the caller's own: there, the
// "container's interface" would be one of the host's.
func openForeign(path string) (netns.NsHandle, error) {
	container, err := netns.GetFromPath(path)
	if err != nil {
		return netns.None(), fmt.Errorf("%w %q cannot be opened: %w", ErrNetNS, path, err)
	}
	own, err := netns.Get()
	if err != nil {
		container.Close()
		return netns.None(), fmt.Errorf("open the host's network namespace: %w", err)
	}
	defer own.Close()
	if container.Equal(own) {
		container.Close()
		return netns.None(), fmt.Errorf("%w %q is the host's own: a container on the host's network "+
			"has no veth to attach to", ErrNetNS, path)
	}
	return container, nil
}

// veth returns the container's interface.
func veth(container netns.NsHandle, path, ifname string) (netlink.Link, error) {
	handle, err := netlinksafe.NewHandleAt(container)
	if err != nil {
		return nil, fmt.Errorf("%w %q cannot be entered, is it one? %w", ErrNetNS, path, err)
	}
	defer handle.Close()
	link, err := handle.LinkByName(ifname)
	if err != nil {
		return nil, fmt.Errorf("%w: %s in %s: %w", ErrNoVeth, ifname, path, err)
	}
	if link.Type() != "veth" {
		return nil, fmt.Errorf("%w: %s in %s is a %s, not a veth: put xdp-port behind a plugin that makes one, "+
			"such as bridge or ptp", ErrNoVeth, ifname, path, link.Type())
	}
	return link, nil
}

// peerOf returns the other end of the container's interface, if that is in the
// caller's namespace and agrees.
func peerOf(inside netlink.Link, container netns.NsHandle, path string) (netlink.Link, error) {
	elsewhere := func(why string) error {
		return fmt.Errorf("%w: the peer of %s in %s is not in the host's network namespace (%s)",
			ErrNoVeth, inside.Attrs().Name, path, why)
	}
	if inside.Attrs().NetNsID < 0 {
		return nil, elsewhere("it is in the container's own")
	}
	index := inside.Attrs().ParentIndex
	host, err := netlink.LinkByIndex(index)
	if err != nil {
		return nil, elsewhere(fmt.Sprintf("no interface has index %d here: %v", index, err))
	}
	if host.Type() != "veth" || host.Attrs().ParentIndex != inside.Attrs().Index {
		return nil, elsewhere(fmt.Sprintf("index %d is %s here, which is not its peer", index, host.Attrs().Name))
	}
	id, err := netlink.GetNetNsIdByFd(int(container))
	if err != nil {
		return nil, fmt.Errorf("ask for the id of %s: %w", path, err)
	}
	if host.Attrs().NetNsID != id {
		return nil, elsewhere(fmt.Sprintf("index %d is %s here, whose peer is in another namespace", index, host.Attrs().Name))
	}
	return host, nil
}
