package e2e

import (
	"encoding/json"
	"net"
	"net/netip"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/test/internal/need"
	"github.com/xdp-port/xdp-port/test/node"
)

// attachSample attaches a new container. The runtime passes capArgs.
func attachSample(t *testing.T, n *node.Node, network, capArgs string) *node.Container {
	t.Helper()
	c, err := n.Container()
	must(t, err)
	c.CapArgs = capArgs
	attachInterface(t, c, network)
	return c
}

func attachInterface(t *testing.T, c *node.Container, network string) {
	t.Helper()
	_, err := c.Attach(network)
	must(t, err)
	_, err = c.CNITool("check", network)
	must(t, err)
}

func tryBridge(t *testing.T, n *node.Node, network string) {
	c := attachSample(t, n, network, "")
	serve(t, n.Far, 7998)
	for family := range families {
		must(t, node.ExchangeUDP(c.NS, far(family, 7999), node.Sizes(100, 0, 1400)))
		must(t, node.ConnectTCP(c.NS, far(family, 7999), 20))
	}
}

func tryPTP(t *testing.T, n *node.Node, network string) {
	c := attachSample(t, n, network, "")
	serve(t, n.Far, 7998)
	serve(t, n.Far, 9042)
	for family := range families {
		must(t, node.ExchangeUDP(c.NS, far(family, 7999), node.Sizes(100, 0, 1400)))
		must(t, node.ConnectTCP(c.NS, far(family, 8042), 20))
	}
}

// published is what a runtime passes for a container's port 80, published as 18080 at publishedAt on
// the host.
const published = `{"portMappings": [{"hostPort": 18080, "containerPort": 80, "protocol": "tcp"}]}`

var publishedAt = netip.MustParseAddrPort("10.99.0.1:18080")

func tryPortmapBandwidth(t *testing.T, n *node.Node, network string) {
	node.NeedBandwidth(t)
	need.Program(t, "iptables")
	c := attachSample(t, n, network, published)
	serve(t, c.NS, 8080)
	serve(t, n.Far, 5514)
	must(t, node.ConnectTCP(n.Far, publishedAt, 20))
	must(t, node.ExchangeUDP(c.NS, far("IPv4", 514), node.Sizes(100, 0, 1400)))
	if shapers := countShapers(t, n.NS); shapers != 2 {
		t.Errorf("the bandwidth plugin shapes %d devices, should be 2", shapers)
	}
}

// countShapers counts the qdiscs of the bandwidth plugin.
func countShapers(t *testing.T, in ns.NetNS) (count int) {
	t.Helper()
	must(t, in.Do(func(ns.NetNS) error {
		links, err := netlinksafe.LinkList()
		if err != nil {
			return err
		}
		for _, link := range links {
			qdiscs, err := netlinksafe.QdiscList(link)
			if err != nil {
				return err
			}
			for _, qdisc := range qdiscs {
				if _, shapes := qdisc.(*netlink.Tbf); shapes {
					count++
				}
			}
		}
		return nil
	}))
	return count
}

// The address of node-local DNS for containers, and the port that it listens at.
var (
	localDNS     = netip.MustParseAddrPort("169.254.20.10:53")
	localDNSReal = netip.MustParseAddrPort("169.254.20.10:5353")
)

// serveNodeLocalDNS echoes at the address of node-local DNS, on the node.
func serveNodeLocalDNS(t *testing.T, n *node.Node) {
	t.Helper()
	must(t, n.NS.Do(func(ns.NetNS) error {
		lo, err := netlinksafe.LinkByName("lo")
		if err != nil {
			return err
		}
		address, err := netlink.ParseAddr(localDNSReal.Addr().String() + "/32")
		if err != nil {
			return err
		}
		if err := netlink.AddrAdd(lo, address); err != nil {
			return err
		}
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(localDNSReal))
		if err == nil {
			t.Cleanup(func() { conn.Close() })
			go echo(conn)
		}
		return err
	}))
	tcp, err := node.TCPEcho(n.NS, int(localDNSReal.Port()))
	must(t, err)
	t.Cleanup(func() { tcp.Close() })
}

func echo(conn *net.UDPConn) {
	buffer := make([]byte, 1<<16)
	for {
		size, from, err := conn.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return
		}
		_, _ = conn.WriteToUDPAddrPort(buffer[:size], from)
	}
}

func tryNodeLocalDNS(t *testing.T, n *node.Node, network string) {
	c := attachSample(t, n, network, "")
	serveNodeLocalDNS(t, n)
	serveNames(t, n.Far, 53, 5353)
	must(t, node.ExchangeUDP(c.NS, localDNS, node.Sizes(100, 0, 1400)))
	must(t, node.ConnectTCP(c.NS, localDNS, 20))
	wantAnswer(t, c.NS, far("IPv4", 53), "53") // any other server is unchanged
}

func tryBlockSMTP(t *testing.T, n *node.Node, network string) {
	const relay = 23 // its index among the far host's addresses
	must(t, n.AddFarAddresses(relay+1))
	c := attachSample(t, n, network, "")
	serve(t, n.Far, 25)
	serve(t, n.Far, 587)
	must(t, node.ConnectTCP(c.NS, netip.AddrPortFrom(node.FarAddress(relay), 25), 20))
	for family := range families {
		wantTimeout(t, c.NS, far(family, 25))
		must(t, node.ConnectTCP(c.NS, far(family, 587), 20))
	}
}

func tryUnprivilegedServer(t *testing.T, n *node.Node, network string) {
	c := attachSample(t, n, network, "")
	serve(t, c.NS, 8080)
	serve(t, c.NS, 8443)
	for _, own := range addresses(t, c) {
		must(t, node.ConnectTCP(n.Far, netip.AddrPortFrom(own, 80), 20))
		must(t, node.ConnectTCP(n.Far, netip.AddrPortFrom(own, 443), 20))
		must(t, node.ExchangeUDP(n.Far, netip.AddrPortFrom(own, 443), node.Sizes(100, 0, 1400)))
	}
}

func tryKubernetes(t *testing.T, n *node.Node, network string) {
	need.Program(t, "iptables")
	annotation := manifestBlock(t, "70-kubernetes.yaml", "xdp-port/rules")
	pod := attachSample(t, n, network, text(t, map[string]any{
		"portMappings": []any{},
		fromAnnotation: map[string]any{"xdp-port/rules": annotation},
	}))
	other := attachSample(t, n, network, `{"portMappings": []}`)
	serveNodeLocalDNS(t, n)
	serveNames(t, n.Far, 8125, 18125)
	serve(t, n.Far, 25)
	for _, c := range []*node.Container{pod, other} {
		must(t, node.ExchangeUDP(c.NS, localDNS, node.Sizes(10, 0, 1400)))
		wantTimeout(t, c.NS, far("IPv4", 25))
	}
	wantAnswer(t, pod.NS, far("IPv4", 8125), "18125")
	wantAnswer(t, other.NS, far("IPv4", 8125), "8125")
}

// tryMultus attaches net1 next to eth0, and writes the pod's rules into the conflist as Multus does.
func tryMultus(t *testing.T, n *node.Node, network string) {
	file := filepath.Join(samplesFolder, "80-multus.conflist")
	var definition map[string]any
	must(t, json.Unmarshal([]byte(manifestBlock(t, "80-multus.yaml", "config")), &definition))
	list := readSample(t, file)
	if !reflect.DeepEqual(definition, list) {
		t.Error("the NetworkAttachmentDefinition is another network than the conflist")
	}
	var selected []map[string]any
	must(t, json.Unmarshal([]byte(manifestBlock(t, "80-multus.yaml", "k8s.v1.cni.cncf.io/networks")), &selected))
	for _, plugin := range list["plugins"].([]any) {
		plugin.(map[string]any)["args"] = map[string]any{"cni": selected[0]["cni-args"]}
	}
	must(t, n.Conflist(list))
	must(t, n.ConflistFile(filepath.Join(samplesFolder, "10-bridge.conflist")))
	eth0 := attachSample(t, n, "lab", "")
	net1 := eth0.Interface(selected[0]["interface"].(string))
	attachInterface(t, net1, network)

	storage := func(port uint16) netip.AddrPort {
		return netip.AddrPortFrom(netip.MustParseAddr("10.80.0.1"), port)
	}
	serveTCP(t, n.NS, 12049, 13260)
	must(t, node.ConnectTCP(eth0.NS, storage(2049), 20))
	must(t, node.ConnectTCP(eth0.NS, storage(3260), 20))
	serve(t, n.Far, 7998)
	must(t, node.ExchangeUDP(eth0.NS, far("IPv4", 7999), node.Sizes(10, 0, 1400)))
}

func serveTCP(t *testing.T, in ns.NetNS, ports ...int) {
	t.Helper()
	for _, port := range ports {
		server, err := node.TCPEcho(in, port)
		must(t, err)
		t.Cleanup(func() { server.Close() })
	}
}

func tryPodman(t *testing.T, n *node.Node, network string) {
	need.Program(t, "iptables")
	c := attachSample(t, n, network, published)
	serve(t, c.NS, 8080)
	serve(t, n.Far, 7998)
	serve(t, n.Far, 25)
	must(t, node.ConnectTCP(n.Far, publishedAt, 20))
	must(t, node.ExchangeUDP(c.NS, far("IPv4", 7999), node.Sizes(100, 0, 1400)))
	wantTimeout(t, c.NS, far("IPv4", 25))
}
