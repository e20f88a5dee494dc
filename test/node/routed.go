package node

import (
	"errors"
	"fmt"

	"github.com/containernetworking/plugins/pkg/ns"
)

// Routed makes a container with an eth0 that the node routes to. The result is that of
// the ptp plugin with IPv4 only, but takes no time. HostSide is the name of the host
// side.
func (n *Node) Routed() (*Container, error) {
	world.RLock()
	defer world.RUnlock()
	c, err := n.container()
	if err != nil {
		return nil, err
	}
	c.HostSide = fmt.Sprintf("ctr%d", len(n.containers))
	gateway, address := routedAddresses(len(n.containers))
	return c, errors.Join(
		n.NS.Do(func(ns.NetNS) error {
			if err := addVeth(c.HostSide, c.IfName, c.NS); err != nil {
				return err
			}
			return configure(c.HostSide, gateway+"/30")
		}),
		c.NS.Do(func(ns.NetNS) error {
			if err := configure(c.IfName, address+"/30"); err != nil {
				return err
			}
			return addDefaultRoute(c.IfName, gateway)
		}),
	)
}

// routedAddresses returns the addresses of one /30 of 10.64.0.0/10 for each number.
func routedAddresses(number int) (gateway, address string) {
	base := number * 4
	text := func(host int) string {
		return fmt.Sprintf("10.%d.%d.%d", 64+base>>16, base>>8&0xff, base&0xff+host)
	}
	return text(1), text(2)
}
