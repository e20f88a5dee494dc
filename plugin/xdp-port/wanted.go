package main

import (
	"fmt"

	"github.com/containernetworking/cni/pkg/skel"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

func keyOf(args *skel.CmdArgs, network string) state.Key {
	return state.Key{Network: network, Container: args.ContainerID, Interface: args.IfName}
}

// hostSide finds the device to attach to.
func hostSide(args *skel.CmdArgs) (datapath.Device, error) {
	pair, err := veth.HostSide(args.Netns, args.IfName)
	if err != nil {
		return datapath.Device{}, err
	}
	return datapath.Device{Index: pair.Host.Index, Name: pair.Host.Name}, nil
}

// wantedBy turns the configuration into what is to be attached.
func wantedBy(network *config.Network) (state.Wanted, error) {
	table, err := rules.Compile(network.Rules)
	if err != nil {
		return state.Wanted{}, &config.Error{Mistakes: []config.Mistake{{Place: "rules", Problem: err.Error()}}}
	}
	netns, err := ownNetNS()
	if err != nil {
		return state.Wanted{}, err
	}
	return state.Wanted{
		Ruleset: &datapath.Ruleset{
			Rules: network.Rules,
			Mode:  modes[network.Mode],
			Flows: network.Flows,
			NetNS: netns,
		},
		Table: table,
		Hook:  hooks[network.TCHook],
	}, nil
}

// modes has generic for auto: on a veth native costs several times as much,
// since the driver then copies each packet and takes no large ones.
var modes = map[config.Mode]datapath.Mode{
	config.ModeAuto:    datapath.Generic,
	config.ModeGeneric: datapath.Generic,
	config.ModeNative:  datapath.Native,
	config.ModeOffload: datapath.Offload,
}

var hooks = map[config.TCHook]datapath.TCHook{
	config.HookAuto:   datapath.AutoHook,
	config.HookTCX:    datapath.TCX,
	config.HookClsact: datapath.Clsact,
}

// ownNetNS identifies the host's network namespace, the one the plugin runs in.
func ownNetNS() (uint64, error) {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &stat); err != nil {
		return 0, fmt.Errorf("look at the host's network namespace: %w", err)
	}
	return stat.Ino, nil
}
