package e2e

import (
	"net/netip"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/test/internal/need"
	"github.com/xdp-port/xdp-port/test/node"
)

// shapedRate is the limit of the bandwidth plugin, in bits per second.
const shapedRate = 40_000_000

// TestChain runs xdp-port in a chain with all common plugins.
func TestChain(t *testing.T) {
	need.Program(t, "iptables")
	node.NeedBandwidth(t)
	portmap := map[string]any{
		"type": "portmap", "capabilities": map[string]any{"portMappings": true}, "snat": true,
	}
	bandwidth := map[string]any{
		"type": "bandwidth", "ingressRate": shapedRate, "ingressBurst": shapedRate / 10,
		"egressRate": shapedRate, "egressBurst": shapedRate / 10,
	}
	tuning := map[string]any{"type": "tuning", "sysctl": map[string]any{"net.core.somaxconn": "500"}}
	firewall := map[string]any{"type": "firewall", "backend": "iptables"}
	own := map[string]any{"type": "xdp-port", "rules": bothWays()}
	ownTC := map[string]any{"type": "xdp-port", "mode": "tc", "rules": bothWays()}
	for name, chain := range map[string][]any{
		"last":             {mainPlugin("bridge"), portmap, bandwidth, tuning, firewall, own},
		"before bandwidth": {mainPlugin("bridge"), portmap, own, bandwidth, tuning, firewall},
		"tc":               {mainPlugin("bridge"), portmap, bandwidth, ownTC, tuning, firewall},
	} {
		t.Run(name, func(t *testing.T) { testChain(t, chain) })
	}
}

func testChain(t *testing.T, chain []any) {
	before := node.State()
	n := node.ForTest(t)
	must(t, n.Conflist(map[string]any{"cniVersion": "1.0.0", "name": "lab", "plugins": chain}))
	c, err := n.Container()
	must(t, err)
	c.CapArgs = `{"portMappings":[{"hostPort":18080,"containerPort":80,"protocol":"tcp"}]}`
	_, err = c.Attach("lab")
	must(t, err)
	_, err = c.CNITool("check", "lab")
	must(t, err)
	serve(t, n.Far, 7998)
	serve(t, c.NS, 8080)
	hostPort := netip.MustParseAddrPort("10.99.0.1:18080")
	must(t, node.ExchangeUDP(c.NS, far("IPv4", 7999), node.Sizes(100, 0, 1400)))
	must(t, node.ConnectTCP(n.Far, hostPort, 20))
	wantShaped(t, func() error { return node.ExchangeTCP(c.NS, far("IPv4", 7999), shapedRate/8) })
	wantShaped(t, func() error { return node.ExchangeTCP(n.Far, hostPort, shapedRate/8) })
	must(t, c.Detach("lab"))
	must(t, before.Unchanged())
}

// wantShaped runs the transfer of a second's data. With shaping it takes at least half a
// second; the burst saves the rest.
func wantShaped(t *testing.T, transfer func() error) {
	t.Helper()
	start := time.Now()
	must(t, transfer())
	if took := time.Since(start); took < time.Second/2 {
		t.Errorf("a second's worth of data took %v: it was not shaped", took)
	}
}
