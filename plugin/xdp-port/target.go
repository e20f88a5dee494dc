package main

import (
	"github.com/containernetworking/cni/pkg/skel"

	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// keyOf returns the key of the interface in a call.
func keyOf(args *skel.CmdArgs, network string) state.Key {
	return state.Key{Network: network, Container: args.ContainerID, Interface: args.IfName}
}

// hostSide returns the device to attach to.
func hostSide(args *skel.CmdArgs) (hook.Device, error) {
	pair, err := veth.HostSide(args.Netns, args.IfName)
	if err != nil {
		return hook.Device{}, err
	}
	return hook.Device(pair.Host), nil
}
