// Price measures what each mode of xdp-port costs on a container's veth, beside
// nothing attached: rounds are interleaved, since the machine's speed drifts,
// and medians shown.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
)

const (
	rounds    = 7
	datagrams = 200_000
	bulkTime  = time.Second
)

func main() {
	node.CloseOnSignal()
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// contender is a container under one configuration, and what was measured.
type contender struct {
	name      string
	plugin    map[string]any // nil: nothing attached
	container *node.Container
	datagram  []float64 // ns for one
	bulk      []float64 // Gbit/s
}

func contenders() []*contender {
	xdpPort := func(mode, hook string) map[string]any {
		return map[string]any{
			"type": "xdp-port", "mode": mode, "tcHook": hook,
			"rules": []any{
				map[string]any{"protocol": "udp", "port": 7999, "toPort": 7998},
				map[string]any{"protocol": "tcp", "port": 7999, "toPort": 7998},
			},
		}
	}
	return []*contender{
		{name: "nothing attached"},
		{name: "generic (auto)", plugin: xdpPort("generic", "tcx")},
		{name: "generic, clsact", plugin: xdpPort("generic", "clsact")},
		{name: "tc", plugin: xdpPort("tc", "tcx")},
		{name: "native", plugin: xdpPort("native", "tcx")},
	}
}

func measure() (err error) {
	n, err := node.New()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	all := contenders()
	for i, c := range all {
		if err := c.attach(n, i); err != nil {
			return err
		}
	}
	for _, port := range []int{7998, 7999} {
		if err := swallow(n.Far, port); err != nil {
			return err
		}
	}
	for range rounds {
		for _, c := range all {
			if err := c.round(); err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return report(all)
}

func (c *contender) attach(n *node.Node, number int) (err error) {
	plugins := []any{map[string]any{
		"type": "bridge", "bridge": "cni0", "isGateway": true,
		"ipam": map[string]any{
			"type": "host-local", "ranges": []any{[]any{map[string]any{
				"subnet": "10.88.0.0/16", "rangeStart": fmt.Sprintf("10.88.%d.2", number), "rangeEnd": fmt.Sprintf("10.88.%d.9", number),
				"gateway": "10.88.0.1",
			}}},
			"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
		},
	}}
	if c.plugin != nil {
		plugins = append(plugins, c.plugin)
	}
	network := fmt.Sprint("price", number)
	if err := n.Conflist(map[string]any{"cniVersion": "1.0.0", "name": network, "plugins": plugins}); err != nil {
		return err
	}
	if c.container, err = n.Container(); err != nil {
		return err
	}
	_, err = c.container.Attach(network)
	return err
}

// sinks keeps the sockets from being collected, and closed.
var sinks []*net.UDPConn

// swallow takes what is sent to a port and does nothing with it. Datagrams are
// not even read: those that find the socket full have gone all the way, too.
func swallow(in ns.NetNS, port int) error {
	full, err := node.ListenUDP(in, port)
	if err != nil {
		return err
	}
	sinks = append(sinks, full)
	return in.Do(func(ns.NetNS) error {
		listener, err := net.Listen("tcp", fmt.Sprint(":", port))
		if err != nil {
			return err
		}
		go func() {
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				go func() { _, _ = io.Copy(io.Discard, conn); conn.Close() }()
			}
		}()
		return nil
	})
}

func (c *contender) round() error {
	to := netip.AddrPortFrom(netip.MustParseAddr(node.FarIPv4), 7999)
	datagram, err := sendDatagrams(c.container.NS, to)
	if err != nil {
		return err
	}
	bulk, err := sendBulk(c.container.NS, to)
	if err != nil {
		return err
	}
	c.datagram = append(c.datagram, datagram)
	c.bulk = append(c.bulk, bulk)
	return nil
}

// sendDatagrams returns the time a small datagram takes in nanoseconds: on a
// veth its sender goes all the way to the receiver's socket.
func sendDatagrams(from ns.NetNS, to netip.AddrPort) (float64, error) {
	conn, err := node.DialUDP(from, to)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	payload := make([]byte, 18)
	start := time.Now()
	for range datagrams {
		if _, err := conn.Write(payload); err != nil {
			return 0, err
		}
	}
	return float64(time.Since(start).Nanoseconds()) / datagrams, nil
}

// sendBulk returns the rate of one TCP stream in Gbit/s.
func sendBulk(from ns.NetNS, to netip.AddrPort) (float64, error) {
	conn, err := node.DialTCP(from, to)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	buffer := make([]byte, 128<<10)
	start, sent := time.Now(), 0
	for time.Since(start) < bulkTime {
		n, err := conn.Write(buffer)
		if err != nil {
			return 0, err
		}
		sent += n
	}
	return float64(sent) * 8 / 1e9 / time.Since(start).Seconds(), nil
}

func report(all []*contender) error {
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "\tsmall datagram\tadded\tTCP, one stream\tof nothing")
	base := all[0]
	for _, c := range all {
		fmt.Fprintf(out, "%s\t%.0f ns\t%.0f ns\t%.1f Gbit/s\t%.2f\n", c.name,
			median(c.datagram), median(c.datagram)-median(base.datagram),
			median(c.bulk), median(c.bulk)/median(base.bulk))
	}
	return out.Flush()
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
