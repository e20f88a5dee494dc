package hook

import (
	"errors"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ingressQdisc returns the kind of the qdisc where clsact goes, "" if there is
// none: clsact itself, or ingress. It asks for that one alone, since the kernel
// can only list those of all devices, which takes long where there are many.
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
