package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/test/internal/need"
	"github.com/xdp-port/xdp-port/test/node"
)

// farPort is port 7999 of the far host. The rules rewrite it.
var farPort = netip.AddrPortFrom(netip.MustParseAddr(node.FarIPv4), 7999)

// serveFar lets the far host answer at port 7998 only.
func serveFar(t *testing.T, n *node.Node) {
	t.Helper()
	server, err := node.UDPEcho(n.Far, 7998)
	must(t, err)
	t.Cleanup(func() { server.Close() })
}

// TestLibcni runs libcni's functions for lists in every version.
func TestLibcni(t *testing.T) {
	ctx := context.Background()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			n := node.ForTest(t)
			serveFar(t, n)
			c := newContainer(t, n)
			runtime, conf, list := newRuntime(t, n, "cache"), interfaceOf(c, "a"), parsed(t, chain(version, "lab", bridge(n), own()))
			_, err := runtime.ValidateNetworkList(ctx, list)
			must(t, err)
			must(t, runtime.GetStatusNetworkList(ctx, list))

			result, err := runtime.AddNetworkList(ctx, list, conf)
			must(t, err)
			wantResult(t, result, version, c)
			cached, err := runtime.GetNetworkListCachedResult(list, conf)
			must(t, err)
			if !reflect.DeepEqual(cached, result) {
				t.Errorf("libcni caches %v, got %v", cached, result)
			}
			must(t, node.ExchangeUDP(c.NS, farPort, node.Sizes(10, 0, 1000)))

			if err := runtime.CheckNetworkList(ctx, list, conf); version < "0.4.0" {
				if !errors.Is(err, libcni.ErrorCheckNotSupp) {
					t.Errorf("CHECK: %v", err)
				}
			} else {
				must(t, err)
			}
			must(t, runtime.GCNetworkList(ctx, list, &libcni.GCArgs{
				ValidAttachments: []types.GCAttachment{{ContainerID: "a", IfName: "eth0"}},
			}))
			must(t, node.ExchangeUDP(c.NS, farPort, node.Sizes(10, 0, 1000)))

			must(t, runtime.DelNetworkList(ctx, list, conf))
			must(t, runtime.DelNetworkList(ctx, list, conf))
			wantNothingOf(t, "a")
		})
	}
}

// wantResult expects a result of the version with the container's address.
func wantResult(t *testing.T, result types.Result, version string, c *node.Container) {
	t.Helper()
	if result.Version() != version {
		t.Errorf("the result is of version %s", result.Version())
	}
	text, err := json.Marshal(result)
	must(t, err)
	var got struct {
		CNIVersion string `json:"cniVersion"`
		IPs        []struct {
			Address   netip.Prefix
			Interface *int
		}
		Interfaces []struct{ Name, Sandbox string }
	}
	must(t, json.Unmarshal(text, &got))
	addr, err := c.Addr(netlink.FAMILY_V4)
	must(t, err)
	if got.CNIVersion != version || len(got.IPs) != 1 || got.IPs[0].Address.Addr() != addr || got.IPs[0].Interface == nil {
		t.Fatalf("the container has the address %s, the result is %s", addr, text)
	}
	if i := *got.IPs[0].Interface; i >= len(got.Interfaces) || got.Interfaces[i].Name != "eth0" || got.Interfaces[i].Sandbox != c.NS.Path() {
		t.Errorf("the address is not on the container's interface: %s", text)
	}
}

// wantNothingOf expects no attachment of a container.
func wantNothingOf(t *testing.T, id string) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(node.StateFolder, "rulesets", "*", "*", "*", id))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// TestLibcniSingle runs libcni's functions for one plugin.
func TestLibcniSingle(t *testing.T) {
	ctx := context.Background()
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			n := answering(t)
			l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
			runtime, conf := newRuntime(t, n, "cache"), interfaceOf(l.container, "a")
			alone := lab().with("cniVersion", version).without("prevResult")

			_, err := runtime.AddNetwork(ctx, single(t, alone), conf)
			var refusal *types.Error
			if !errors.As(err, &refusal) || refusal.Code != 7 {
				t.Errorf("ADD without prevResult: %v", err)
			}
			prev := fullResult(t, version)
			network := single(t, alone.with("prevResult", prev))
			_, err = runtime.ValidateNetwork(ctx, network)
			must(t, err)
			result, err := runtime.AddNetwork(ctx, network, conf)
			must(t, err)
			if !reflect.DeepEqual(result, prev) {
				t.Errorf("gave %+v, got %+v", prev, result)
			}
			l.wantRules(t)
			if version >= "0.4.0" {
				must(t, runtime.CheckNetwork(ctx, network, conf))
			}
			must(t, runtime.DelNetwork(ctx, network, conf))
			must(t, runtime.DelNetwork(ctx, single(t, alone), conf))
			l.wantNoPrograms(t)
			l.wantNoRules(t)
		})
	}
}

// TestLibcniGC runs a runtime without a cache, so that everything depends on the
// plugin's GC.
func TestLibcniGC(t *testing.T) {
	ctx := context.Background()
	n := answering(t)
	c := newContainer(t, n)
	keep, drop := lay(t, n, c, "a", "eth0", 1), lay(t, n, c, "b", "eth1", 2)
	keep.succeed(t, "ADD", lab())
	drop.succeed(t, "ADD", lab())
	runtime, list := newRuntime(t, n, "other-cache"), parsed(t, chain("1.1.0", "lab", own()))
	for _, args := range []*libcni.GCArgs{
		nil, // no key at all
		{},  // null
	} {
		must(t, runtime.GCNetworkList(ctx, list, args))
		keep.wantRules(t)
		drop.wantRules(t)
	}
	must(t, runtime.GCNetworkList(ctx, list, &libcni.GCArgs{
		ValidAttachments: []types.GCAttachment{{ContainerID: "a", IfName: "eth0"}},
	}))
	keep.wantRules(t)
	drop.wantNoPrograms(t)
	must(t, runtime.GCNetworkList(ctx, list, &libcni.GCArgs{ValidAttachments: []types.GCAttachment{}}))
	keep.wantNoPrograms(t)
}

// TestCNITool runs the operations of cnitool in every version.
func TestCNITool(t *testing.T) {
	name := uniqueName("conformance")
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			n := node.ForTest(t)
			serveFar(t, n)
			must(t, n.Conflist(chain(version, name, bridge(n), own())))
			c := newContainer(t, n)
			_, err := c.CNITool("status", name)
			must(t, err)
			stdout, err := c.Attach(name)
			must(t, err)
			result, err := newResult(version, stdout)
			must(t, err)
			wantResult(t, result, version, c)
			must(t, node.ExchangeUDP(c.NS, farPort, node.Sizes(10, 0, 1000)))
			if _, err := c.CNITool("check", name); (err == nil) != (version >= "0.4.0") {
				t.Errorf("CHECK: %v", err)
			}
			must(t, c.Detach(name))
			must(t, c.Detach(name))
			wantNothingOf(t, c.ID())
		})
	}
}

// TestCNIToolGC sends no list. cnitool runs DEL for everything in its cache. All other
// attachments must stay.
func TestCNIToolGC(t *testing.T) {
	name := uniqueName("conformance-gc")
	n := answering(t)
	must(t, n.Conflist(chain("1.1.0", name, bridge(n), own())))
	c := newContainer(t, n)
	_, err := c.Attach(name)
	must(t, err)
	l := lay(t, n, newContainer(t, n), "unknown", "eth0", 1)
	l.succeed(t, "ADD", lab().with("name", name))
	_, err = c.CNITool("gc", name)
	must(t, err)
	l.wantRules(t)
	wantNothingOf(t, c.ID())
}

// TestPluginsBehind expects CHECK to succeed right after ADD, whatever later plugins in
// the chain have changed.
func TestPluginsBehind(t *testing.T) {
	need.Program(t, "iptables")
	behind := []any{
		map[string]any{
			"type": "tuning", "mtu": 1400, "promisc": true, "allmulti": true, "mac": "0a:58:0a:58:00:99",
			"sysctl": map[string]any{"net.core.somaxconn": "500"},
		},
		map[string]any{"type": "portmap", "capabilities": map[string]any{"portMappings": true}, "snat": true},
		map[string]any{"type": "firewall", "backend": "iptables"},
	}
	if node.HasTCX(t) { // clsact and the bandwidth plugin exclude each other
		behind = append(behind, map[string]any{
			"type": "bandwidth", "ingressRate": 100_000_000, "ingressBurst": 10_000_000,
			"egressRate": 100_000_000, "egressBurst": 10_000_000,
		})
	}
	ctx := context.Background()
	for _, version := range []string{"0.4.0", "1.0.0", "1.1.0"} {
		t.Run(version, func(t *testing.T) {
			n := node.ForTest(t)
			serveFar(t, n)
			c := newContainer(t, n)
			list := parsed(t, chain(version, "lab", slices.Concat([]any{bridge(n), own()}, behind)...))
			runtime, conf := newRuntime(t, n, "cache"), interfaceOf(c, "a")
			conf.CapabilityArgs = map[string]any{
				"portMappings": []any{map[string]any{"hostPort": 18080, "containerPort": 80, "protocol": "tcp"}},
			}
			_, err := runtime.AddNetworkList(ctx, list, conf)
			must(t, err)
			must(t, runtime.CheckNetworkList(ctx, list, conf))
			must(t, node.ExchangeUDP(c.NS, farPort, node.Sizes(10, 0, 1000)))
			must(t, runtime.DelNetworkList(ctx, list, conf))
			wantNothingOf(t, "a")
		})
	}
}
