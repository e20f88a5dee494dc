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

// world is a host with one container that has no interface yet.
func world(t *testing.T) (*node.Node, *node.Container) {
	t.Helper()
	n, err := node.New()
	must(t, err)
	t.Cleanup(func() { must(t, n.Close()) })
	c, err := n.Container()
	must(t, err)
	return n, c
}

// addVeth makes a pair: inside the container, and host in the namespace at.
func addVeth(t *testing.T, c *node.Container, inside string, at ns.NetNS, host string) {
	t.Helper()
	must(t, c.NS.Do(func(ns.NetNS) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = inside
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: host, PeerNamespace: netlink.NsFd(int(at.Fd())),
		})
	}))
}

func hostSide(n *node.Node, path, ifname string) (pair *veth.Pair, err error) {
	_ = n.NS.Do(func(ns.NetNS) error {
		pair, err = veth.HostSide(path, ifname)
		return nil
	})
	return pair, err
}

func TestHostSideOfEachOfSeveral(t *testing.T) {
	n, c := world(t)
	names := []string{"eth0", "net1", "a.b%c", "fifteen-bytes-x", "-"}
	for i, name := range names {
		addVeth(t, c, name, n.NS, fmt.Sprintf("host%d", i))
	}
	for i, name := range names {
		pair, err := hostSide(n, c.NS.Path(), name)
		must(t, err)
		if want := fmt.Sprintf("host%d", i); pair.Host.Name != want || pair.Container.Name != name {
			t.Errorf("%s: got %+v, want the host side %s", name, pair, want)
		}
	}
}

func TestHostSideByProcess(t *testing.T) {
	n, c := world(t)
	addVeth(t, c, "eth0", n.NS, "host0")
	sleeper := exec.Command("sleep", "60")
	must(t, c.NS.Do(func(ns.NetNS) error { return sleeper.Start() }))
	defer func() {
		_ = sleeper.Process.Kill()
		_ = sleeper.Wait()
	}()
	pair, err := hostSide(n, fmt.Sprintf("/proc/%d/ns/net", sleeper.Process.Pid), "eth0")
	must(t, err)
	if pair.Host.Name != "host0" {
		t.Errorf("got %+v", pair)
	}
}

func TestRefusals(t *testing.T) {
	n, c := world(t)
	other, err := n.Container()
	must(t, err)
	addVeth(t, c, "astray", other.NS, "elsewhere")
	addVeth(t, c, "inner", c.NS, "inner-peer")
	must(t, c.NS.Do(func(ns.NetNS) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "dummy0"
		return netlink.LinkAdd(&netlink.Dummy{LinkAttrs: attrs})
	}))
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	for name, refused := range map[string]struct {
		path, ifname string
		sentinel     error
		message      string
	}{
		"no such path":        {"/run/netns/none", "eth0", veth.ErrNetNS, "/run/netns/none"},
		"not a namespace":     {file, "eth0", veth.ErrNetNS, file},
		"the host's own":      {n.NS.Path(), node.ToFar, veth.ErrNetNS, "host's own"},
		"no such interface":   {c.NS.Path(), "eth0", veth.ErrNoVeth, "eth0"},
		"loopback":            {c.NS.Path(), "lo", veth.ErrNoVeth, "not a veth"},
		"dummy":               {c.NS.Path(), "dummy0", veth.ErrNoVeth, "is a dummy, not a veth"},
		"peer elsewhere":      {c.NS.Path(), "astray", veth.ErrNoVeth, "not in the host's network namespace"},
		"peer in the same ns": {c.NS.Path(), "inner", veth.ErrNoVeth, "the container's own"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hostSide(n, refused.path, refused.ifname)
			if !errors.Is(err, refused.sentinel) {
				t.Fatalf("got %v, want %v", err, refused.sentinel)
			}
			if !strings.Contains(err.Error(), refused.message) {
				t.Errorf("the message %q lacks %q", err, refused.message)
			}
		})
	}
}

// TestIndexMeansNothingElsewhere gives the host veths with every index that
// the astray peer could have, each with a peer of every index too.
func TestIndexMeansNothingElsewhere(t *testing.T) {
	n, c := world(t)
	third, err := n.Container()
	must(t, err)
	fourth, err := n.Container()
	must(t, err)
	addVeth(t, c, "astray", third.NS, "elsewhere")
	for i := range 6 {
		addVeth(t, fourth, fmt.Sprintf("in%d", i), n.NS, fmt.Sprintf("out%d", i))
	}
	pair, err := hostSide(n, c.NS.Path(), "astray")
	if !errors.Is(err, veth.ErrNoVeth) {
		t.Errorf("got %+v, %v", pair, err)
	}
}
