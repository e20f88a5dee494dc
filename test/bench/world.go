package main

import (
	"fmt"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/test/bench/internal/traffic"
	"github.com/xdp-port/xdp-port/test/node"
)

// Ports of the packets: rules rewrite asked to answered and drop blocked, and no rule matches other.
const (
	asked    = 7999
	answered = 7998
	other    = 6000
	blocked  = 6001
)

// world is a contender's machine: a node with one container, and a far host that counts the datagrams
// that arrive. Worlds differ only in what rewrites the ports.
type world struct {
	name string
	// rewrites is set if UDP packets to asked arrive at answered, and tcp if TCP works as well.
	rewrites, tcp bool

	*pod
	sink *traffic.Sink
	undo []func() error // for changes that do not go with the node
}

// newWorld makes a world without attachments.
func (b *bench) newWorld(name string) (w *world, err error) {
	w = &world{name: name}
	n, err := b.newNode()
	if err != nil {
		return nil, err
	}
	if w.pod, err = b.newPod(n, true); err != nil {
		return nil, err
	}
	for _, f := range families {
		if err := n.NS.Do(f.routeBehindFar); err != nil {
			return nil, fmt.Errorf("route %s to the far host: %w", f.behindFar, err)
		}
	}
	if w.sink, err = traffic.NewSink(n.Far, node.ToNode); err != nil {
		return nil, err
	}
	b.later(w.sink.Close)
	return w, nil
}

func (f *family) routeBehindFar(ns.NetNS) error {
	destination, err := netlink.ParseIPNet(f.behindFar.String())
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{Dst: destination, Gw: f.far.AsSlice()})
}

// arrivesAt is the port at which packets to a port arrive.
func (w *world) arrivesAt(port uint16) uint16 {
	if w.rewrites && port == asked {
		return answered
	}
	return port
}

// addXDPPort attaches the world's container with a configuration of xdp-port.
func (w *world) addXDPPort(options map[string]any) error {
	w.rewrites, w.tcp = true, true
	_, err := w.add(xdpPortPlugin(options))
	return err
}

// portRules are the rules of the tutorial, for both protocols.
func portRules() []any {
	return []any{
		map[string]any{"protocol": "udp", "port": asked, "toPort": answered},
		map[string]any{"protocol": "tcp", "port": asked, "toPort": answered},
	}
}
