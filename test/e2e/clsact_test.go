package e2e

import (
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/veth"
	"github.com/xdp-port/xdp-port/test/node"
)

// withHook returns the network with a tc hook.
func withHook(list map[string]any, hook string) map[string]any {
	list["plugins"].([]any)[1].(map[string]any)["tcHook"] = hook
	return list
}

// TestRewriteByClsact is TestRewrite with the hook of kernels before 6.6.
func TestRewriteByClsact(t *testing.T) {
	node.EachMode(t, func(t *testing.T, mode string) {
		testRewrite(t, withHook(network("bridge", "1.0.0", mode, tutorial()), "clsact"))
	})
}

// onHostSide calls f on the node with the host side of the container's interface.
func onHostSide(t *testing.T, n *node.Node, c *node.Container, f func(netlink.Link) error) {
	t.Helper()
	must(t, n.NS.Do(func(ns.NetNS) error {
		pair, err := veth.HostSide(c.NS.Path(), c.IfName)
		if err != nil {
			return err
		}
		device, err := netlink.LinkByIndex(pair.Host.Index)
		if err != nil {
			return err
		}
		return f(device)
	}))
}

// hostSide returns the name of the host side of a container's interface.
func hostSide(t *testing.T, n *node.Node, c *node.Container) (name string) {
	t.Helper()
	onHostSide(t, n, c, func(device netlink.Link) error {
		name = device.Attrs().Name
		return nil
	})
	return name
}

// countFilters returns the number of filters at both hooks, and whether there is a clsact
// qdisc.
func countFilters(t *testing.T, n *node.Node, c *node.Container) (filters int, clsact bool) {
	t.Helper()
	onHostSide(t, n, c, func(device netlink.Link) error {
		qdiscs, err := netlinksafe.QdiscList(device)
		if err != nil {
			return err
		}
		for _, qdisc := range qdiscs {
			clsact = clsact || qdisc.Type() == "clsact"
		}
		for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
			list, err := netlinksafe.FilterList(device, parent)
			if err != nil {
				return err
			}
			filters += len(list)
		}
		return nil
	})
	return filters, clsact
}

func wantFilters(t *testing.T, n *node.Node, c *node.Container, want int, wantClsact bool) {
	t.Helper()
	if filters, clsact := countFilters(t, n, c); filters != want || clsact != wantClsact {
		t.Errorf("%d filters, clsact %t; should be %d, %t", filters, clsact, want, wantClsact)
	}
}

// TestClsactIsTakenAlong expects DEL to remove the qdisc that ADD made, unless another program
// uses it.
func TestClsactIsTakenAlong(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	config := direct(tutorial())
	config["tcHook"] = "clsact"
	wantSuccess(t, plugin(t, c, "ADD", config))
	wantFilters(t, n, c, 2, true)
	wantSuccess(t, plugin(t, c, "DEL", config))
	wantFilters(t, n, c, 0, false)

	wantSuccess(t, plugin(t, c, "ADD", config))
	onHostSide(t, n, c, addFilter)
	wantSuccess(t, plugin(t, c, "DEL", config))
	wantFilters(t, n, c, 1, true)

	wantSuccess(t, plugin(t, c, "ADD", config))
	wantFilters(t, n, c, 3, true)
	wantSuccess(t, plugin(t, c, "DEL", config))
	wantFilters(t, n, c, 1, true)
}

func wantSuccess(t *testing.T, refusal *types.Error) {
	t.Helper()
	if refusal != nil {
		t.Fatal(refusal)
	}
}

// addFilter adds a foreign filter.
func addFilter(device netlink.Link) error {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "foreign", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		return err
	}
	defer program.Close()
	return netlink.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: device.Attrs().Index, Parent: netlink.HANDLE_MIN_INGRESS,
			Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL,
		},
		Fd: program.FD(), Name: "foreign", DirectAction: true,
	})
}

// TestClsactRefusesIngressQdisc runs ADD on a device with the bandwidth plugin's qdisc.
func TestClsactRefusesIngressQdisc(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	onHostSide(t, n, c, func(device netlink.Link) error {
		return netlink.QdiscAdd(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: device.Attrs().Index, Parent: netlink.HANDLE_INGRESS, Handle: netlink.MakeHandle(0xffff, 0),
		}})
	})
	before := node.State()
	config := direct(tutorial())
	config["tcHook"] = "clsact"
	wantRefusal(t, plugin(t, c, "ADD", config), 103, "ingress qdisc", `"tcHook"`)
	must(t, before.Unchanged())
	t.Run("tcx", func(t *testing.T) {
		node.NeedTCX(t)
		config["tcHook"] = "tcx"
		wantSuccess(t, plugin(t, c, "ADD", config))
		wantSuccess(t, plugin(t, c, "DEL", config))
	})
}
