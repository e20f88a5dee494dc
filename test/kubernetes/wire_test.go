package kubernetes

import (
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

// The network between the machines: a bridge on the control plane's machine. It also has the address of the
// service kubernetes, so that no kube-proxy is needed.
const (
	controlAddress = "192.168.77.1"
	serviceAddress = "10.96.0.1"
	serviceRange   = "10.96.0.0/16"
)

func nodeAddress(number int) string { return fmt.Sprintf("192.168.77.%d", 10+number) }

// podRange is the range of addresses for a node's pods.
func podRange(number int) string { return fmt.Sprintf("10.244.%d.0/24", number) }

// links changes interfaces of a machine.
type links struct {
	*netlink.Handle
	namespace *os.File
}

func linksOf(m *machine.Machine) (links, error) {
	file, err := os.Open(m.File("/proc/1/ns/net"))
	if err != nil {
		return links{}, err
	}
	handle, err := netlink.NewHandleAt(netns.NsHandle(file.Fd()))
	return links{handle, file}, err
}

func (l links) close() {
	l.Close()
	l.namespace.Close()
}

// up brings up an interface with an address.
func (l links) up(name, address string) error {
	link, err := l.LinkByName(name)
	if err != nil {
		return err
	}
	if address != "" {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		if err := l.AddrAdd(link, parsed); err != nil {
			return err
		}
	}
	return l.LinkSetUp(link)
}

func (l links) route(to, via string) error {
	_, destination, err := net.ParseCIDR(to)
	if err != nil {
		return err
	}
	return l.RouteAdd(&netlink.Route{Dst: destination, Gw: net.ParseIP(via)})
}

const bridgeName = "machines"

// wireControl makes the bridge.
func wireControl(control *machine.Machine) error {
	l, err := linksOf(control)
	if err != nil {
		return err
	}
	defer l.close()
	if err := l.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: bridgeName}}); err != nil {
		return err
	}
	if err := l.up(bridgeName, controlAddress+"/24"); err != nil {
		return err
	}
	return l.up("lo", serviceAddress+"/32")
}

// wireNode connects a node to the bridge and to the pods of the other nodes.
func wireNode(control, node *machine.Machine, number, nodes int) error {
	c, err := linksOf(control)
	if err != nil {
		return err
	}
	defer c.close()
	n, err := linksOf(node)
	if err != nil {
		return err
	}
	defer n.close()
	port := fmt.Sprintf("node%d", number)
	bridge, err := c.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	if err := c.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: port, MasterIndex: bridge.Attrs().Index},
		PeerName:  "uplink", PeerNamespace: netlink.NsFd(int(n.namespace.Fd())),
	}); err != nil {
		return err
	}
	if err := c.up(port, ""); err != nil {
		return err
	}
	if err := n.up("uplink", nodeAddress(number)+"/24"); err != nil {
		return err
	}
	if err := c.route(podRange(number), nodeAddress(number)); err != nil {
		return err
	}
	for other := 1; other <= nodes; other++ {
		if other != number {
			if err := n.route(podRange(other), nodeAddress(other)); err != nil {
				return err
			}
		}
	}
	return n.route("0.0.0.0/0", controlAddress)
}
