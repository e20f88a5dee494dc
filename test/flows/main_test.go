// Package flows tests that no two connections share a tuple, that nobody can end a
// connection of others, and which connections the flow table keeps. The tests use real
// sockets in each mode, with nft as the control.
package flows

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/internal/need"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

func TestMain(m *testing.M) { os.Exit(node.Main(m)) }

// control is the mode in which netfilter rewrites the ports.
const control = "nft"

var modes = []string{"auto", "native", "tc", control}

// isNightly reports whether there is time for all cases.
var isNightly = os.Getenv("XDP_PORT_NIGHTLY") != ""

// Ports. Each direction has one port that is rewritten, its target port, and a range of
// ports that are rewritten to a single port.
const (
	asked, target          = 7999, 7998
	rangeFirst, rangeLast  = 7900, 7949
	rangeTarget, unrelated = 7950, 7000
)

// ends are a client, and a server with the address that the client uses.
type ends struct {
	client, server ns.NetNS
	address        netip.Addr
}

// world is a node with one container under rules.
type world struct {
	*node.Node
	t         *testing.T
	mode      string
	container *node.Container
	config    map[string]any
}

// newWorld creates a node with a container under the rules of the mode. Other plugins
// have configured the container before.
func newWorld(t *testing.T, mode string, settings map[string]any, others ...any) *world {
	t.Helper()
	if mode != control {
		node.NeedMode(t, mode)
	}
	n, err := node.New()
	must(t, err)
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	must(t, n.Conflist(map[string]any{
		"cniVersion": "1.1.0", "name": "plain", "plugins": append([]any{bridge()}, others...),
	}))
	w := &world{Node: n, t: t, mode: mode, container: attach(t, n)}
	if mode == control {
		w.runNFT()
		return w
	}
	w.config = map[string]any{
		"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port", "mode": mode, "rules": ruleList(),
		"prevResult": map[string]any{"cniVersion": "1.1.0"},
	}
	for key, value := range settings {
		w.config[key] = value
	}
	w.apply(w.container)
	return w
}

// apply runs ADD, for the first time or with other rules.
func (w *world) apply(c *node.Container) {
	w.t.Helper()
	refusal, err := c.Plugin("ADD", w.config)
	must(w.t, err)
	if refusal != nil {
		w.t.Fatal(refusal)
	}
}

func attach(t *testing.T, n *node.Node) *node.Container {
	t.Helper()
	c, err := n.Container()
	must(t, err)
	_, err = c.Attach("plain")
	must(t, err)
	return c
}

func bridge() map[string]any {
	subnet := func(text string) []any { return []any{map[string]any{"subnet": text}} }
	return map[string]any{
		"type": "bridge", "bridge": "cni0", "isGateway": true,
		"ipam": map[string]any{
			"type":   "host-local",
			"ranges": []any{subnet("10.88.0.0/16"), subnet("fd00:88::/64")},
			"routes": []any{map[string]any{"dst": "0.0.0.0/0"}, map[string]any{"dst": "::/0"}},
		},
	}
}

func ruleList() (list []any) {
	for _, direction := range []string{"egress", "ingress"} {
		for _, protocol := range []string{"tcp", "udp"} {
			list = append(list,
				map[string]any{"direction": direction, "protocol": protocol, "port": asked, "toPort": target},
				map[string]any{
					"direction": direction, "protocol": protocol,
					"port": fmt.Sprintf("%d-%d", rangeFirst, rangeLast), "toPort": rangeTarget,
				})
		}
	}
	return list
}

// runNFT configures netfilter with the same rules.
func (w *world) runNFT() {
	w.t.Helper()
	need.Program(w.t, "nft")
	var script strings.Builder
	for _, family := range []string{"ip", "ip6"} {
		fmt.Fprintf(&script, "table %s control { chain prerouting { type nat hook prerouting priority dstnat;\n", family)
		for _, protocol := range []string{"tcp", "udp"} {
			fmt.Fprintf(&script, "%s dport %d dnat to :%d\n", protocol, asked, target)
			fmt.Fprintf(&script, "%s dport %d-%d dnat to :%d\n", protocol, rangeFirst, rangeLast, rangeTarget)
		}
		script.WriteString("}\n}\n")
	}
	nft := exec.Command("nft", "-f", "-")
	nft.Stdin = strings.NewReader(script.String())
	var said strings.Builder
	nft.Stderr = &said
	if err := node.Run(w.NS, nft, pace.Patience(10*time.Second)); err != nil {
		w.t.Fatalf("nft: %v: %s", err, &said)
	}
}

// ways returns the client and server for each direction and family.
func (w *world) ways() map[string]ends {
	w.t.Helper()
	out := map[string]ends{
		"egress IPv4": {w.container.NS, w.Far, netip.MustParseAddr(node.FarIPv4)},
		"egress IPv6": {w.container.NS, w.Far, netip.MustParseAddr(node.FarIPv6)},
	}
	for name, family := range map[string]int{"ingress IPv4": unix.AF_INET, "ingress IPv6": unix.AF_INET6} {
		addr, err := w.container.Addr(family)
		must(w.t, err)
		out[name] = ends{w.Far, w.container.NS, addr}
	}
	return out
}

// inEachWay runs a test in each mode, direction and family.
func inEachWay(t *testing.T, test func(t *testing.T, w *world, way ends)) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, mode, nil)
			for name, way := range w.ways() {
				t.Run(name, func(t *testing.T) { test(t, w, way) })
			}
		})
	}
}

var must = node.Must

// patience bounds the time to wait for an answer.
var patience = pace.Patience(3 * time.Second)

// dial connects from a source port that other sockets may share; 0 means any port.
func (e ends) dial(network string, from, to uint16) (conn net.Conn, err error) {
	dialer := net.Dialer{Timeout: patience, Control: shareAddress}
	if from != 0 {
		dialer.LocalAddr = &net.TCPAddr{Port: int(from)}
		if network == "udp" {
			dialer.LocalAddr = &net.UDPAddr{Port: int(from)}
		}
	}
	err = e.client.Do(func(ns.NetNS) error {
		conn, err = dialer.Dial(network, netip.AddrPortFrom(e.address, to).String())
		return err
	})
	return conn, err
}

func shareAddress(_, _ string, raw syscall.RawConn) (err error) {
	controlled := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	})
	return errors.Join(controlled, err)
}

// talk sends a message to an echo server and waits for the echo.
func talk(conn net.Conn, what string) error {
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(what)); err != nil {
		return err
	}
	return hear(conn, what)
}

func hear(conn net.Conn, what string) error {
	got := make([]byte, len(what))
	for n := 0; n < len(what); {
		more, err := conn.Read(got[n:])
		if err != nil {
			return fmt.Errorf("%s -> %s, waiting for %q: %w", conn.LocalAddr(), conn.RemoteAddr(), what, err)
		}
		n += more
	}
	if !bytes.Equal(got, []byte(what)) {
		return fmt.Errorf("got %q, want %q", got, what)
	}
	return nil
}

// echo serves all of the ports over UDP and TCP.
func (e ends) echo(t *testing.T, ports ...int) {
	t.Helper()
	for _, port := range ports {
		udp, err := node.UDPEcho(e.server, port)
		must(t, err)
		t.Cleanup(func() { udp.Close() })
		tcp, err := node.TCPEcho(e.server, port)
		must(t, err)
		t.Cleanup(func() { tcp.Close() })
	}
}
