package e2e

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// storageGateway is the node's address in the second network.
var storageGateway = netip.MustParseAddr("10.80.0.1")

// storage is a second network. It leads only to the node.
func storage(rules []any) map[string]any {
	return map[string]any{
		"cniVersion": "1.1.0", "name": "storage",
		"plugins": []any{
			map[string]any{
				"type": "bridge", "bridge": "cni80", "isGateway": true,
				"ipam": map[string]any{"type": "host-local", "ranges": []any{[]any{map[string]any{"subnet": "10.80.0.0/16"}}}},
			},
			map[string]any{"type": "xdp-port", "rules": rules},
		},
	}
}

// TestSecondInterface has two networks with opposite rules for a port. It removes each interface
// while the other stays.
func TestSecondInterface(t *testing.T) {
	for _, first := range []string{"net1", "eth0"} {
		t.Run(first+" goes first", func(t *testing.T) {
			before := node.State()
			n := node.ForTest(t)
			must(t, n.Conflist(network("bridge", "1.1.0", "auto", []any{
				rule("protocol", "udp", "port", 7999, "toPort", 7998),
				rule("protocol", "udp", "port", 7000, "action", "drop"),
			})))
			must(t, n.Conflist(storage([]any{rule("protocol", "udp", "port", 7000, "toPort", 7998)})))
			serveNames(t, n.Far, 7000, 7998, 7999)
			serveNames(t, n.NS, 7000, 7998, 7999)
			eth0 := attach(t, n, "lab")
			net1 := eth0.Interface("net1")
			_, err := net1.Attach("storage")
			must(t, err)

			wantLab := func() {
				t.Helper()
				_, err := eth0.CNITool("check", "lab")
				must(t, err)
				wantAnswer(t, eth0.NS, far("IPv4", 7999), "7998")
				wantAnswer(t, eth0.NS, far("IPv6", 7000), "")
			}
			wantStorage := func() {
				t.Helper()
				_, err := net1.CNITool("check", "storage")
				must(t, err)
				wantAnswer(t, net1.NS, netip.AddrPortFrom(storageGateway, 7999), "7999")
				wantAnswer(t, net1.NS, netip.AddrPortFrom(storageGateway, 7000), "7998")
			}
			wantLab()
			wantStorage()
			if first == "net1" {
				must(t, net1.Detach("storage"))
				wantLab()
				_, err = net1.Attach("storage")
				must(t, err)
				wantStorage()
				wantLab()
				must(t, net1.Detach("storage"))
				must(t, eth0.Detach("lab"))
			} else {
				must(t, eth0.Detach("lab"))
				wantStorage()
				must(t, net1.Detach("storage"))
			}
			must(t, before.Unchanged())
		})
	}
}

// TestSameNetworkTwice attaches a container to one network with two interfaces, which share a
// ruleset. It removes each while the other stays.
func TestSameNetworkTwice(t *testing.T) {
	for _, first := range []string{"net1", "eth0"} {
		t.Run(first+" goes first", func(t *testing.T) {
			before := node.State()
			n := node.ForTest(t)
			must(t, n.Conflist(network("bridge", "1.1.0", "auto", tutorial())))
			serveNames(t, n.Far, 7998, 7999)
			eth0 := attach(t, n, "lab")
			net1 := eth0.Interface("net1")
			_, err := net1.Attach("lab")
			must(t, err)
			answerARPOnItsInterface(t, eth0.NS)
			both := []*node.Container{eth0, net1}
			for _, c := range both {
				wantAnswerOn(t, c, far("IPv4", 7999), "7998")
				wantAnswerOn(t, c, far("IPv6", 7999), "7998")
			}
			goes, stays := both[0], both[1]
			if first == "net1" {
				goes, stays = net1, eth0
			}
			must(t, goes.Detach("lab"))
			must(t, goes.Detach("lab")) // as runtimes do
			_, err = stays.CNITool("check", "lab")
			must(t, err)
			wantAnswerOn(t, stays, far("IPv4", 7999), "7998")
			must(t, stays.Detach("lab"))
			must(t, before.Unchanged())
		})
	}
}

// answerARPOnItsInterface makes each interface answer only for its own address. Two interfaces in
// one subnet need that: otherwise packets for one arrive at the other.
func answerARPOnItsInterface(t *testing.T, in ns.NetNS) {
	t.Helper()
	must(t, in.Do(func(ns.NetNS) error {
		return os.WriteFile("/proc/sys/net/ipv4/conf/all/arp_ignore", []byte("1"), 0)
	}))
}

// wantAnswerOn is wantAnswer through one interface of the container. The answer must come from the
// port that was asked.
func wantAnswerOn(t *testing.T, c *node.Container, to netip.AddrPort, want string) {
	t.Helper()
	var conn net.Conn
	must(t, c.NS.Do(func(ns.NetNS) (err error) {
		dialer := net.Dialer{Control: func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) {
				failed = unix.SetsockoptString(int(fd), unix.SOL_SOCKET, unix.SO_BINDTODEVICE, c.IfName)
			})
			return errors.Join(err, failed)
		}}
		conn, err = dialer.Dial("udp", to.String())
		return err
	}))
	defer conn.Close()
	_, err := conn.Write([]byte("who is there?"))
	must(t, err)
	must(t, conn.SetReadDeadline(time.Now().Add(pace.Patience(2*time.Second))))
	answer := make([]byte, 100)
	size, err := conn.Read(answer)
	if err != nil || string(answer[:size]) != want {
		t.Errorf("by %s a datagram to %s got %q, %v; want %q", c.IfName, to, answer[:size], err, want)
	}
}
