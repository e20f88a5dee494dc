// Package node makes a machine out of network namespaces for tests: a node that runs
// CNI plugins, containers on it, and a far host that is one hop away.
//
//	container eth0 ── host-side veth [ node ] to-far ── to-node [ far ]
//
// Only the size of the network is simulated. The caller must Close each Node. Sweep
// removes the nodes of killed processes.
package node

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
)

// Addresses of the far host, and names of the link between node and far host.
const (
	FarIPv4 = "10.99.0.2"
	FarIPv6 = "fd00:99::2"

	ToFar  = "to-far"
	ToNode = "to-node"
)

// Node is a machine, in a network namespace of its own.
type Node struct {
	// NS and Far are the namespaces of the node and of the far host.
	NS, Far ns.NetNS
	// Dir is a folder for files of this node. Close removes it.
	Dir string

	containers []*Container
	addedLock  sync.Mutex
	added      map[string]Call
}

// New makes a node and a far host that is connected to it.
func New() (n *Node, err error) {
	world.RLock()
	defer world.RUnlock()
	n = &Node{}
	register(n)
	defer func() {
		if err != nil {
			err = errors.Join(err, n.close())
			n = nil
		}
	}()
	if n.Dir, err = os.MkdirTemp("", "xdp-port-node-"); err != nil {
		return n, err
	}
	if n.NS, err = newNamespace("node"); err != nil {
		return n, err
	}
	if n.Far, err = newNamespace("far"); err != nil {
		return n, err
	}
	return n, n.connect()
}

// connect makes the link between node and far host.
func (n *Node) connect() error {
	return errors.Join(
		n.NS.Do(func(ns.NetNS) error {
			if err := Forward(); err != nil {
				return err
			}
			return addVeth(ToFar, ToNode, n.Far)
		}),
		n.NS.Do(func(ns.NetNS) error { return configure(ToFar, "10.99.0.1/24", "fd00:99::1/64") }),
		n.Far.Do(func(ns.NetNS) error {
			if err := configure(ToNode, FarIPv4+"/24", FarIPv6+"/64"); err != nil {
				return err
			}
			return errors.Join(addDefaultRoute(ToNode, "10.99.0.1"), addDefaultRoute(ToNode, "fd00:99::1"))
		}),
	)
}

func addVeth(name, peer string, peerNS ns.NetNS) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	return netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: attrs, PeerName: peer, PeerNamespace: netlink.NsFd(int(peerNS.Fd())),
	})
}

// SetTxOffload sets whether the stack leaves checksums to a device of this namespace.
// Without, the stack completes them before the device. Segmentation offload follows
// the setting.
func SetTxOffload(in ns.NetNS, device string, on bool) error {
	return in.Do(func(ns.NetNS) error {
		handle, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer handle.Close()
		if err := handle.Change(device, map[string]bool{"tx-checksum-ip-generic": on}); err != nil {
			return fmt.Errorf("set the tx offload of %s to %t: %w", device, on, err)
		}
		return nil
	})
}

// SetMTU sets the MTU of the link to the far host, in bytes.
func (n *Node) SetMTU(mtu int) error {
	set := func(device string) func(ns.NetNS) error {
		return func(ns.NetNS) error {
			link, err := netlink.LinkByName(device)
			if err != nil {
				return err
			}
			return netlink.LinkSetMTU(link, mtu)
		}
	}
	return errors.Join(n.NS.Do(set(ToFar)), n.Far.Do(set(ToNode)))
}

// FarAddress returns the i-th IPv4 address of the far host. AddFarAddresses adds all
// but the first.
func FarAddress(i int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 99, 0, byte(2 + i)})
}

// AddFarAddresses raises the number of the far host's IPv4 addresses to count.
func (n *Node) AddFarAddresses(count int) error {
	return n.Far.Do(func(ns.NetNS) error {
		for i := 1; i < count; i++ {
			if err := configure(ToNode, FarAddress(i).String()+"/24"); err != nil {
				return err
			}
		}
		return nil
	})
}

// Container makes a network namespace for a container. Its only interface is lo.
func (n *Node) Container() (*Container, error) {
	world.RLock()
	defer world.RUnlock()
	return n.container()
}

// container is Container for callers that have locked the world.
func (n *Node) container() (*Container, error) {
	namespace, err := newNamespace("ctr")
	if err != nil {
		return nil, err
	}
	c := &Container{NS: namespace, node: n, IfName: "eth0"}
	n.containers = append(n.containers, c)
	return c, nil
}

// Close removes the containers' attachments and all namespaces. It does so once, even
// if a signal arrives at the end of a test.
func (n *Node) Close() error {
	world.RLock()
	defer world.RUnlock()
	return n.close()
}

// close is Close for callers that have locked the world.
func (n *Node) close() error {
	if !unregister(n) {
		return nil
	}
	errs := []error{n.deleteAdded()}
	for _, c := range n.containers {
		errs = append(errs, c.detachAll())
	}
	for _, c := range n.containers {
		if !c.borrowed {
			errs = append(errs, removeNamespace(c.NS))
		}
	}
	errs = append(errs, removeNamespace(n.NS), removeNamespace(n.Far))
	if n.Dir != "" {
		errs = append(errs, os.RemoveAll(n.Dir))
	}
	return errors.Join(errs...)
}

// path returns the path of a file of this node.
func (n *Node) path(parts ...string) string {
	return filepath.Join(append([]string{n.Dir}, parts...)...)
}
