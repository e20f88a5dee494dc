package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/test/bench/traffic"
	"github.com/xdp-port/xdp-port/test/node"
)

// What the packets are about: rules turn asked into answered; no rule is about
// other.
const (
	asked    = 7999
	answered = 7998
	other    = 6000
)

// far is the host behind the second hop. Whatever is in behindFar reaches its
// link, too.
var (
	far       = netip.MustParseAddr(node.FarIPv4)
	behindFar = netip.MustParsePrefix("10.98.0.0/16")
)

// world is a contender's machine: a node with one container, and a far host
// that counts the datagrams that reach it. All worlds are alike but for what
// rewrites the ports.
type world struct {
	name string
	// rewrites says that UDP packets to asked arrive at answered; tcp that TCP
	// works that way, too.
	rewrites, tcp bool

	node      *node.Node
	container *node.Container
	attached  json.RawMessage // what the container's main plugin answered
	sink      *traffic.Sink
	undo      []func() error // of what was set up and does not go with the node
}

// newWorld makes a world in which nothing is attached.
func (b *bench) newWorld(name string) (w *world, err error) {
	w = &world{name: name}
	if w.node, err = b.newNode(); err != nil {
		return w, err
	}
	if err := w.node.Conflist(plainNetwork()); err != nil {
		return w, err
	}
	if w.container, err = w.node.Container(); err != nil {
		return w, err
	}
	if w.attached, err = w.container.Attach("bench"); err != nil {
		return w, err
	}
	if err := w.node.NS.Do(routeBehindFar); err != nil {
		return w, err
	}
	if w.sink, err = traffic.NewSink(w.node.Far, node.ToNode); err != nil {
		return w, err
	}
	b.later(w.sink.Close)
	return w, nil
}

func plainNetwork() map[string]any {
	return map[string]any{
		"cniVersion": "1.0.0", "name": "bench",
		"plugins": []any{map[string]any{
			"type": "ptp",
			"ipam": map[string]any{
				"type":   "host-local",
				"ranges": []any{[]any{map[string]any{"subnet": "10.88.0.0/16"}}},
				"routes": []any{map[string]any{"dst": "0.0.0.0/0"}},
			},
		}},
	}
}

func routeBehindFar(ns.NetNS) error {
	destination, err := netlink.ParseIPNet(behindFar.String())
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{Dst: destination, Gw: far.AsSlice()})
}

// arrivesAt is the port at which packets to a port come out.
func (w *world) arrivesAt(port uint16) uint16 {
	if w.rewrites && port == asked {
		return answered
	}
	return port
}

// hostSide returns the node's end of the container's veth.
func (w *world) hostSide() (device netlink.Link, err error) {
	var index int
	err = w.container.NS.Do(func(ns.NetNS) error {
		inside, err := netlink.LinkByName(w.container.IfName)
		if err == nil {
			index = inside.Attrs().ParentIndex
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = w.node.NS.Do(func(ns.NetNS) error {
		device, err = netlink.LinkByIndex(index)
		return err
	})
	return device, err
}

// addXDPPort puts the world's container under a configuration of xdp-port.
func (w *world) addXDPPort(options map[string]any) error {
	config := map[string]any{"cniVersion": "1.0.0", "name": "bench", "type": "xdp-port", "prevResult": w.attached}
	for key, value := range options {
		config[key] = value
	}
	refusal, err := w.container.Plugin("ADD", config)
	if err != nil {
		return err
	}
	if refusal != nil {
		return refusal
	}
	w.rewrites, w.tcp = true, true
	return nil
}

// setSysctl sets a variable of the namespace of this thread.
func setSysctl(name, value string) error {
	return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0)
}

// portRules are the rules of the tutorial, for both protocols.
func portRules() []any {
	return []any{
		map[string]any{"protocol": "udp", "port": asked, "toPort": answered},
		map[string]any{"protocol": "tcp", "port": asked, "toPort": answered},
	}
}
