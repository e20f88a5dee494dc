package veth

import (
	"errors"
	"fmt"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// peerOf returns the other end of the container's interface. That end must be in
// the caller's namespace, and its peer must be the container's interface.
func peerOf(inside netlink.Link, container netns.NsHandle, path string) (netlink.Link, error) {
	elsewhere := func(why string) error {
		return fmt.Errorf("%w: the peer of %q in the network namespace %q is not in the host's network namespace (%s): "+
			"run xdp-port in the network namespace of that peer", ErrNoVeth, inside.Attrs().Name, path, why)
	}
	if inside.Attrs().NetNsID < 0 {
		return nil, elsewhere("it is in the container's")
	}
	here, err := netlinksafe.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("%w: open netlink in the host's network namespace: %w", ErrLookup, err)
	}
	defer here.Close()
	index := inside.Attrs().ParentIndex
	host, err := here.LinkByIndex(index)
	var missing netlink.LinkNotFoundError
	switch {
	case errors.As(err, &missing):
		return nil, elsewhere(fmt.Sprintf("no interface has index %d there", index))
	case err != nil:
		return nil, fmt.Errorf("%w: find the peer of %q in %q, index %d: %w", ErrLookup, inside.Attrs().Name, path, index, err)
	case host.Type() != "veth" || host.Attrs().ParentIndex != inside.Attrs().Index:
		return nil, elsewhere(fmt.Sprintf("index %d there is %q, another device", index, host.Attrs().Name))
	}
	id, err := here.GetNetNsIdByFd(int(container))
	if err != nil {
		return nil, fmt.Errorf("%w: read the id of the network namespace %q: %w", ErrLookup, path, err)
	}
	if host.Attrs().NetNsID != id {
		return nil, elsewhere(fmt.Sprintf("index %d there is %q, a veth with a peer in a third namespace", index, host.Attrs().Name))
	}
	return host, nil
}
