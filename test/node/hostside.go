package node

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
)

// Unattached returns an error that names what is attached to a device of the
// node: XDP and tcx programs, tc filters, a clsact or ingress qdisc.
func (n *Node) Unattached(device string) error {
	return n.NS.Do(func(ns.NetNS) error {
		host, err := netlinksafe.LinkByName(device)
		if err != nil {
			return err
		}
		var errs []error
		if xdp := host.Attrs().Xdp; xdp != nil && xdp.Attached {
			errs = append(errs, fmt.Errorf("%s has the XDP program %d", device, xdp.ProgId))
		}
		return errors.Join(append(errs, withoutTCX(host), withoutQdisc(host))...)
	})
}

func withoutTCX(device netlink.Link) error {
	var errs []error
	for _, at := range []ebpf.AttachType{ebpf.AttachTCXIngress, ebpf.AttachTCXEgress} {
		found, err := tcxPrograms(device, at)
		if len(found) > 0 {
			err = fmt.Errorf("%s has %d programs at %s", device.Attrs().Name, len(found), at)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// withoutQdisc looks for the qdiscs that filters need.
func withoutQdisc(device netlink.Link) error {
	qdiscs, err := netlinksafe.QdiscList(device)
	if err != nil {
		return err
	}
	for _, qdisc := range qdiscs {
		if kind := qdisc.Type(); kind == "clsact" || kind == "ingress" {
			return fmt.Errorf("%s has a qdisc %s", device.Attrs().Name, kind)
		}
	}
	return nil
}
