package lifecycle

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// move is a change of the host side of a running container.
type move struct {
	name string
	do   func(t *testing.T, p, other *pod)
}

// moves begin and end with a host side that has no master.
var moves = []move{
	{"rename", func(t *testing.T, p, _ *pod) { p.rename(t, "renamed") }},
	{"swap of names", func(t *testing.T, p, other *pod) { swap(t, p, other) }},
	{"another hardware address", func(t *testing.T, p, _ *pod) { p.readdress(t) }},
	{"down and up", func(t *testing.T, p, _ *pod) {
		p.onHost(t, func(link netlink.Link) error { return errors.Join(netlink.LinkSetDown(link), netlink.LinkSetUp(link)) })
	}},
	{"into a bridge", func(t *testing.T, p, _ *pod) { p.toBridge(t, "bridge1") }},
	{"to another bridge", func(t *testing.T, p, _ *pod) { p.toBridge(t, "bridge2") }},
	{"rename in a bridge", func(t *testing.T, p, _ *pod) { p.rename(t, "bridged") }},
	{"out of a bridge", func(t *testing.T, p, _ *pod) { p.toBridge(t, "") }},
}

// vrfMoves need a kernel with VRFs.
var vrfMoves = []move{
	{"into a VRF", func(t *testing.T, p, _ *pod) { p.toVRF(t, "red", 101) }},
	{"to another VRF", func(t *testing.T, p, _ *pod) { p.toVRF(t, "blue", 102) }},
	{"rename in a VRF", func(t *testing.T, p, _ *pod) {
		p.rename(t, "in-vrf")
		p.onHost(t, func(link netlink.Link) error { return netlink.RouteReplace(p.route(link)) })
	}},
	{"out of a VRF", func(t *testing.T, p, _ *pod) { p.toVRF(t, "", 0) }},
}

// TestMoves moves and renames the host side while traffic flows. No datagram may bypass the
// rules, gc must remove nothing, and apply must reach the container.
func TestMoves(t *testing.T) { testMoves(t, moves) }

// TestVRF does the same with moves into and out of VRFs.
func TestVRF(t *testing.T) {
	needVRF(t)
	testMoves(t, vrfMoves)
}

func testMoves(t *testing.T, moves []move) {
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		p, other := w.flowing(t, m)
		for i, move := range moves {
			t.Logf("%s", move.name)
			move.do(t, p, other)
			p.stream.mustFlow(t)
			w.mustTool(t, "gc")
			w.mustList(t, p, other)
			w.apply(t, 1+(i+1)%versions, m)
			p.stream.mustFlow(t)
			other.stream.mustFlow(t)
			if code, message := p.check(t); code != 0 {
				t.Errorf("CHECK: %s", message)
			}
		}
		p.add(t, 1, m)
		p.mustBeRight(t)
		p.del(t)
		p.mustBeRight(t)
		other.mustBeRight(t)
		other.del(t)
		mustBeClean(t)
	})
}

// flowing returns two containers with rules and traffic.
func (w *world) flowing(t *testing.T, m manner) (p, other *pod) {
	t.Helper()
	p, other = w.pod(t, "host0", 0), w.pod(t, "host1", 0)
	for _, p := range []*pod{p, other} {
		p.add(t, 1, m)
		p.startStream(t, interval)
		p.stream.mustFlow(t)
	}
	return p, other
}

// TestAgentReachesMoved expects the agent to give rules to a container that moves.
func TestAgentReachesMoved(t *testing.T) {
	m := manners(t)[0]
	w := newWorld(t)
	p, other := w.flowing(t, m)
	a := w.startAgent(t, m)
	for i, move := range moves {
		version := 1 + (i+1)%versions
		t.Logf("%s, then rules %d", move.name, version)
		move.do(t, p, other)
		a.apply(t, version, m)
		p.stream.mustFlow(t)
		other.stream.mustFlow(t)
		w.mustList(t, p, other)
	}
	a.stop()
	p.del(t)
	other.del(t)
	mustBeClean(t)
}

// swap swaps the names of two host sides.
func swap(t testing.TB, a, b *pod) {
	t.Helper()
	nameA, nameB := a.device, b.device
	a.rename(t, "swap")
	b.rename(t, nameA)
	a.rename(t, nameB)
}

// toBridge moves the host side and its address into a new bridge, or out of its present one.
func (p *pod) toBridge(t testing.TB, name string) {
	t.Helper()
	p.onHost(t, func(link netlink.Link) error {
		holder := link
		if name != "" {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = name
			bridge := &netlink.Bridge{LinkAttrs: attrs}
			if err := netlink.LinkAdd(bridge); err != nil {
				return err
			}
			holder = bridge
		}
		before := link.Attrs().MasterIndex
		if err := p.setMaster(link, holder); err != nil {
			return err
		}
		if err := p.moveAddress(holder); err != nil || before == 0 {
			return err
		}
		return removeLink(before)
	})
}

// setMaster sets the master of a device. If both are the same device, it removes the master.
func (p *pod) setMaster(link, master netlink.Link) error {
	if master.Attrs().Index == link.Attrs().Index {
		return netlink.LinkSetNoMaster(link)
	}
	return errors.Join(netlink.LinkSetMaster(link, master), netlink.LinkSetUp(master))
}

// moveAddress moves the address of the container's gateway to a device.
func (p *pod) moveAddress(to netlink.Link) error {
	all, err := netlinksafe.AddrList(nil, unix.AF_INET)
	if err != nil {
		return err
	}
	for _, address := range all {
		if address.IP.Equal(net.IP(p.address(1).AsSlice())) {
			from, err := netlink.LinkByIndex(address.LinkIndex)
			if err != nil {
				return err
			}
			if err := netlink.AddrDel(from, &netlink.Addr{IPNet: address.IPNet}); err != nil {
				return err
			}
		}
	}
	return netlink.AddrAdd(to, &netlink.Addr{IPNet: &net.IPNet{IP: p.address(1).AsSlice(), Mask: net.CIDRMask(24, 32)}})
}

func removeLink(index int) error {
	link, err := netlink.LinkByIndex(index)
	if err != nil {
		return err
	}
	return netlink.LinkDel(link)
}

// toVRF moves the host side into a VRF, or out of its present one. The node's own sockets accept
// packets from VRFs, and the main table gets a route there.
func (p *pod) toVRF(t testing.TB, name string, table uint32) {
	t.Helper()
	p.onHost(t, func(link netlink.Link) error {
		before := link.Attrs().MasterIndex
		if name == "" {
			return errors.Join(netlink.LinkSetNoMaster(link), removeLink(before))
		}
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		vrf := &netlink.Vrf{LinkAttrs: attrs, Table: table}
		if err := errors.Join(
			node.SetSysctl("net/ipv4/udp_l3mdev_accept", "1"), netlink.LinkAdd(vrf), netlink.LinkSetUp(vrf),
			netlink.LinkSetMaster(link, vrf), netlink.RouteReplace(p.route(link)),
		); err != nil || before == 0 {
			return err
		}
		return removeLink(before)
	})
}

// route is a route from the main table to the container.
func (p *pod) route(link netlink.Link) *netlink.Route {
	return &netlink.Route{
		LinkIndex: link.Attrs().Index, Table: unix.RT_TABLE_MAIN, Scope: netlink.SCOPE_LINK,
		Dst: &net.IPNet{IP: p.address(0).AsSlice(), Mask: net.CIDRMask(24, 32)},
	}
}

// needVRF skips the test on kernels without VRFs.
func needVRF(t *testing.T) {
	t.Helper()
	w := newWorld(t)
	err := w.NS.Do(func(ns.NetNS) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "probe"
		return netlink.LinkAdd(&netlink.Vrf{LinkAttrs: attrs, Table: 100})
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("the kernel has no VRFs; make test-kernels KERNELS=newest KERNEL_TESTS='./test/lifecycle=^TestVRF$$'")
	}
	must(t, err)
}

// agent is a running agent.
type agent struct {
	*world
	config string
	stop   func()
}

// startAgent starts an agent for the network lab.
func (w *world) startAgent(t *testing.T, m manner) *agent {
	t.Helper()
	a := &agent{world: w, config: filepath.Join(t.TempDir(), "rules.json")}
	a.write(t, 1, m)
	network := filepath.Dir(conflist(t, 1, m))
	command := node.ToolCommand(t, "agent", "--config", a.config, "--net-dir", network,
		"--bin-dir", t.TempDir(), "--listen", "127.0.0.1:9438", "--interval", "2s")
	must(t, w.NS.Do(func(ns.NetNS) error { return command.Start() }))
	running := true
	a.stop = func() {
		if running {
			running = false
			_ = command.Process.Kill()
			_ = command.Wait()
		}
	}
	t.Cleanup(a.stop)
	return a
}

func (a *agent) write(t *testing.T, version int, m manner) {
	t.Helper()
	must(t, os.WriteFile(a.config, jsonOf(t, map[string]any{
		"mode": m.mode, "tcHook": m.hook, "rules": rules(version),
	}), 0o600))
}

// apply gives a version of the rules to the agent, and waits until all containers have it.
func (a *agent) apply(t *testing.T, version int, m manner) {
	t.Helper()
	for _, p := range a.attached() {
		p.changing(version, m)
	}
	a.write(t, version, m)
	deadline := time.Now().Add(pace.Patience(node.ToolTimeout))
	for _, p := range a.attached() {
		for p.look(t) != sightOf(version) {
			if time.Now().After(deadline) {
				t.Fatalf("the agent does not give %s on %s the rules %d: %+v", p.id, p.device, version, p.listedAs(t))
			}
			time.Sleep(pace.Patience(20 * time.Millisecond))
		}
		p.version, p.manner = version, m
		p.changed()
	}
}
