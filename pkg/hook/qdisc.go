package hook

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ingressQdisc returns the kind of the qdisc in the place of clsact: "clsact", "ingress", or "" for
// none. It asks for this qdisc alone: a list has those of all devices, which takes long on a
// machine with many.
func ingressQdisc(ifindex int) (string, error) {
	// ECHO has the answer sent to who asks, not only to who listens to all.
	request := nl.NewNetlinkRequest(unix.RTM_GETQDISC, unix.NLM_F_ECHO|unix.NLM_F_ACK)
	request.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(ifindex), Parent: netlink.HANDLE_CLSACT})
	answers, err := request.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWQDISC)
	if errors.Is(err, unix.ENOENT) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	for _, answer := range answers {
		if len(answer) < nl.SizeofTcMsg {
			continue
		}
		attributes, err := nl.ParseRouteAttr(answer[nl.SizeofTcMsg:])
		if err != nil {
			return "", err
		}
		for _, attribute := range attributes {
			if attribute.Attr.Type == nl.TCA_KIND {
				return unix.ByteSliceToString(attribute.Value), nil
			}
		}
	}
	return "", nil // one that the kernel hides stands for none
}

func clsactQdisc(ifindex int) *netlink.Clsact {
	return &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: ifindex,
		Handle:    netlink.MakeHandle(0xffff, 0),
		Parent:    netlink.HANDLE_CLSACT,
	}}
}

// NeedsQdisc reports whether the device has no qdisc in the place of clsact.
//
// Returns an error wrapping ErrAttach if it has an ingress qdisc, and ErrInspect if the kernel
// does not say.
func NeedsQdisc(dev Device) (bool, error) {
	kind, err := ingressQdisc(dev.Index)
	if err != nil {
		return false, fmt.Errorf("%w: read the qdisc of %s: %w", ErrInspect, dev.Name, err)
	}
	if kind == "ingress" {
		return false, fmt.Errorf("%w: add a clsact qdisc to %s, which has an ingress qdisc "+
			`(the bandwidth plugin's?): set "tcHook" to "tcx" (Linux 6.6) or take that plugin out of the chain`,
			ErrAttach, dev.Name)
	}
	return kind == "", nil
}

// AddQdisc adds a clsact qdisc, unless the device has one.
//
// Returns an error wrapping ErrAttach.
func AddQdisc(dev Device) error {
	if err := netlink.QdiscAdd(clsactQdisc(dev.Index)); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("%w: add a clsact qdisc to %s: %w", ErrAttach, dev.Name, err)
	}
	return nil
}

// RemoveQdisc removes the device's clsact qdisc, unless it has filters.
//
// Returns an error wrapping ErrDetach.
func RemoveQdisc(dev Device) error {
	empty, err := isEmptyClsact(dev.Index)
	if empty && err == nil {
		err = ignoreGone(netlink.QdiscDel(clsactQdisc(dev.Index)))
	}
	if err != nil {
		return fmt.Errorf("%w: remove the clsact qdisc of %s: %w", ErrDetach, dev.Name, err)
	}
	return nil
}

// isEmptyClsact reports whether the device has a clsact qdisc without any filter.
func isEmptyClsact(ifindex int) (bool, error) {
	if kind, err := ingressQdisc(ifindex); err != nil || kind != "clsact" {
		return false, ignoreGone(err)
	}
	for _, at := range Sides {
		filters, err := filtersAt(ifindex, at)
		if err != nil || len(filters) > 0 {
			return false, err
		}
	}
	return true, nil
}
