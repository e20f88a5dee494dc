package veth_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/veth"
	"github.com/xdp-port/xdp-port/test/node"
)

func TestMain(m *testing.M) {
	node.CloseOnSignal()
	code := m.Run()
	if err := node.Leftovers(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world makes a host and containers without an interface.
func world(t *testing.T, containers int) (host ns.NetNS, inside []ns.NetNS) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root: run without -short")
	}
	n, err := node.New()
	must(t, err)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	for range containers {
		c, err := n.Container()
		must(t, err)
		inside = append(inside, c.NS)
	}
	return n.NS, inside
}

// named returns the attributes of a device. The kernel replaces index 0 by a free one.
func named(name string, index int) netlink.LinkAttrs {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.Index = name, index
	return attrs
}

func addLink(t *testing.T, in ns.NetNS, link netlink.Link) {
	t.Helper()
	must(t, in.Do(func(ns.NetNS) error { return netlink.LinkAdd(link) }))
}

// addVeth makes a pair: outer in the namespace at, inner in the namespace in.
func addVeth(t *testing.T, at ns.NetNS, outer netlink.LinkAttrs, in ns.NetNS, inner string) {
	t.Helper()
	addLink(t, at, &netlink.Veth{
		LinkAttrs: outer, PeerName: inner, PeerNamespace: netlink.NsFd(int(in.Fd())),
	})
}

func hostSide(host ns.NetNS, path, ifname string) (pair *veth.Pair, err error) {
	err = host.Do(func(ns.NetNS) (err error) {
		pair, err = veth.HostSide(path, ifname)
		return err
	})
	return pair, err
}

// endAt returns an interface as the kernel describes it.
func endAt(t *testing.T, in ns.NetNS, name string) (end veth.End) {
	t.Helper()
	must(t, in.Do(func(ns.NetNS) error {
		link, err := netlink.LinkByName(name)
		if err == nil {
			end = veth.End{
				Index: link.Attrs().Index, Name: link.Attrs().Name, Address: link.Attrs().HardwareAddr.String(),
			}
		}
		return err
	}))
	return end
}

func serialAt(t *testing.T, in ns.NetNS, end veth.End) (serial uint64) {
	t.Helper()
	must(t, in.Do(func(ns.NetNS) error {
		serial = veth.SerialOf(end.Index, end.Name)
		return nil
	}))
	if serial == 0 {
		t.Errorf("the device %s has no serial number", end.Name)
	}
	return serial
}

func wantPair(t *testing.T, host ns.NetNS, outer string, in ns.NetNS, inner, path string) {
	t.Helper()
	got, err := hostSide(host, path, inner)
	must(t, err)
	want := veth.Pair{Host: endAt(t, host, outer), Container: endAt(t, in, inner)}
	want.Host.Serial = serialAt(t, host, want.Host) // the container's end has none
	if *got != want {
		t.Errorf("the pair of %q is %+v, want %+v", inner, *got, want)
	}
}

func wantRefusal(t *testing.T, err, sentinel error, message string) {
	t.Helper()
	if !errors.Is(err, sentinel) {
		t.Fatalf("got the error %v, want %v", err, sentinel)
	}
	if !strings.Contains(err.Error(), message) {
		t.Errorf("the message %q lacks %q", err, message)
	}
}

func TestHostSideOfEachOfSeveral(t *testing.T) {
	t.Parallel()
	host, inside := world(t, 1)
	// The kernel refuses only '/', ':', '%' and white space in a name.
	names := []string{"eth0", "net1", "a.b", "..a", "fifteen-bytes-x", "-", "é$\"\\"}
	for i, name := range names {
		addVeth(t, host, named(fmt.Sprintf("host%d", i), 0), inside[0], name)
	}
	for i, name := range names {
		wantPair(t, host, fmt.Sprintf("host%d", i), inside[0], name, inside[0].Path())
	}
}

func TestHostSideByProcess(t *testing.T) {
	t.Parallel()
	host, inside := world(t, 1)
	addVeth(t, host, named("host0", 0), inside[0], "eth0")
	sleeper := exec.Command("sleep", "60")
	must(t, inside[0].Do(func(ns.NetNS) error { return sleeper.Start() }))
	defer func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait()
	}()
	wantPair(t, host, "host0", inside[0], "eth0", fmt.Sprintf("/proc/%d/ns/net", sleeper.Process.Pid))
}

// TestSameIndexOnBothSides has two fresh namespaces. The first device of each gets
// the same index.
func TestSameIndexOnBothSides(t *testing.T) {
	t.Parallel()
	_, inside := world(t, 2)
	addVeth(t, inside[0], named("host0", 0), inside[1], "eth0")
	if a, b := endAt(t, inside[0], "host0"), endAt(t, inside[1], "eth0"); a.Index != b.Index {
		t.Fatalf("the test is about equal indexes, but made %+v and %+v", a, b)
	}
	wantPair(t, inside[0], "host0", inside[1], "eth0", inside[1].Path())
}

// TestRefusedNamespaces asks for an interface that exists in every namespace, so that
// only the namespace is wrong.
func TestRefusedNamespaces(t *testing.T) {
	t.Parallel()
	host, inside := world(t, 1)
	addVeth(t, host, named("eth0", 0), inside[0], "eth0")
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	alias := filepath.Join(t.TempDir(), "alias")
	must(t, os.Symlink(host.Path(), alias))
	for name, refused := range map[string]struct{ path, message string }{
		"none given":          {"", "cannot be opened"},
		"no such path":        {"/run/netns/none", `"/run/netns/none" cannot be opened: no such file`},
		"a file":              {file, "is not a network namespace"},
		"a folder":            {t.TempDir(), "is not a network namespace"},
		"another kind":        {"/proc/self/ns/mnt", "is not a network namespace"},
		"the host's own":      {host.Path(), "is the host's own"},
		"by the own process":  {"/proc/thread-self/ns/net", "is the host's own"},
		"by a symbolic link":  {alias, "is the host's own"},
		"a process long gone": {"/proc/0/ns/net", "cannot be opened"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hostSide(host, refused.path, "eth0")
			wantRefusal(t, err, veth.ErrNetNS, refused.message)
		})
	}
}

func TestRefusedInterfaces(t *testing.T) {
	t.Parallel()
	host, inside := world(t, 2)
	in, third := inside[0], inside[1]
	addLink(t, in, &netlink.Bridge{LinkAttrs: named("br0", 0)})
	addVeth(t, in, named("inner", 0), in, "inner-peer")
	addVeth(t, third, named("elsewhere", 4000), in, "astray")
	parent := named("mv0", 0)
	parent.ParentIndex = endAt(t, in, "br0").Index
	addLink(t, in, &netlink.Macvlan{LinkAttrs: parent, Mode: netlink.MACVLAN_MODE_BRIDGE})
	for name, refused := range map[string]struct{ ifname, message string }{
		"missing":                   {"eth0", `"eth0" is not in the network namespace`},
		"name too long":             {"sixteen-bytes-xy", "is not in the network namespace"},
		"empty name":                {"", "is not in the network namespace"},
		"loopback":                  {"lo", "is a loopback, and xdp-port needs a veth: remove xdp-port from the loopback's network"},
		"bridge":                    {"br0", "is a bridge, and xdp-port needs a veth: use a network that makes veths, as bridge"},
		"macvlan":                   {"mv0", "is a macvlan, and xdp-port needs a veth: use a network that makes veths, as bridge"},
		"peer in a third namespace": {"astray", "no interface has index 4000 there"},
		"peer beside it":            {"inner", "it is in the container's"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hostSide(host, in.Path(), refused.ifname)
			wantRefusal(t, err, veth.ErrNoVeth, refused.message)
		})
	}
}

// TestNetkit has a netkit, which Cilium can make in place of a veth (Linux 6.7).
func TestNetkit(t *testing.T) {
	t.Parallel()
	host, inside := world(t, 1)
	err := inside[0].Do(func(ns.NetNS) error {
		return netlink.LinkAdd(&netlink.Netkit{LinkAttrs: named("kit0", 0), Mode: netlink.NETKIT_MODE_L3})
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("the kernel has no netkit")
	}
	must(t, err)
	_, err = hostSide(host, inside[0].Path(), "kit0")
	wantRefusal(t, err, veth.ErrNoVeth, "is a netkit, and xdp-port needs a veth: configure the network to make veths (Cilium:")
}

// TestPeerMovedAway moves the host's end into another namespace.
func TestPeerMovedAway(t *testing.T) {
	t.Parallel()
	host, inside := world(t, 2)
	addVeth(t, host, named("host0", 0), inside[0], "eth0")
	wantPair(t, host, "host0", inside[0], "eth0", inside[0].Path())
	must(t, host.Do(func(ns.NetNS) error {
		link, err := netlink.LinkByName("host0")
		if err != nil {
			return err
		}
		return netlink.LinkSetNsFd(link, int(inside[1].Fd()))
	}))
	_, err := hostSide(host, inside[0].Path(), "eth0")
	wantRefusal(t, err, veth.ErrNoVeth, "is not in the host's")
}

// collision is an index that two devices in different namespaces share: a stray peer,
// and a device on the host.
const collision = 4000

func TestOtherDeviceWithThePeersIndex(t *testing.T) {
	t.Parallel()
	host, inside := world(t, 2)
	addVeth(t, inside[1], named("elsewhere", collision), inside[0], "astray")
	addLink(t, host, &netlink.Bridge{LinkAttrs: named("br0", collision)})
	_, err := hostSide(host, inside[0].Path(), "astray")
	wantRefusal(t, err, veth.ErrNoVeth, `is "br0", another device`)
}

// TestOwnVethWithThePeersIndex puts the host side of another interface of the same
// container at the index. Only its peer's index tells them apart.
func TestOwnVethWithThePeersIndex(t *testing.T) {
	t.Parallel()
	host, inside := world(t, 2)
	addVeth(t, inside[1], named("elsewhere", collision), inside[0], "astray")
	addVeth(t, host, named("host0", collision), inside[0], "eth0")
	_, err := hostSide(host, inside[0].Path(), "astray")
	wantRefusal(t, err, veth.ErrNoVeth, `is "host0", another device`)
	wantPair(t, host, "host0", inside[0], "eth0", inside[0].Path())
}

// TestOtherVethWithThePeersIndex has two pairs with the same indexes at both ends.
// Only the namespaces tell them apart.
func TestOtherVethWithThePeersIndex(t *testing.T) {
	t.Parallel()
	host, inside := world(t, 3)
	in, third, fourth := inside[0], inside[1], inside[2]
	addVeth(t, third, named("elsewhere", collision), in, "astray")
	addVeth(t, host, named("host0", collision), fourth, "eth0")
	if a, b := endAt(t, in, "astray"), endAt(t, fourth, "eth0"); a.Index != b.Index {
		t.Fatalf("the test is about equal indexes, but made %+v and %+v", a, b)
	}
	_, err := hostSide(host, in.Path(), "astray")
	wantRefusal(t, err, veth.ErrNoVeth, `is "host0", a veth with a peer in a third namespace`)
	wantPair(t, host, "host0", fourth, "eth0", fourth.Path())
}

// TestLeavesNothingOpen counts the files of the process, so it is not parallel.
func TestLeavesNothingOpen(t *testing.T) {
	host, inside := world(t, 1)
	addVeth(t, host, named("host0", 0), inside[0], "eth0")
	ask := func() {
		for _, path := range []string{inside[0].Path(), host.Path(), "/proc/self/ns/mnt"} {
			for _, ifname := range []string{"eth0", "lo", "none"} {
				_, _ = hostSide(host, path, ifname)
			}
		}
	}
	ask()
	before := openFiles(t)
	ask()
	if after := openFiles(t); after != before {
		t.Errorf("%d files are open, %d were before", after, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("/proc/self/fd")
	must(t, err)
	return len(files)
}
