package main

import (
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/plan"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// status tells whether ADD can work on this node at all. It changes nothing.
func status(args *skel.CmdArgs) error {
	if _, err := config.ParseIdentity(args.StdinData); err != nil {
		return err
	}
	kernelReady := func() error { return datapath.Ready(askedHook(args)) }
	for _, ready := range []func() error{datapath.Privileged, state.Ready, kernelReady} {
		if err := ready(); err != nil {
			return types.NewError(codeNotAvailable, "xdp-port cannot serve ADD: "+err.Error(), "")
		}
	}
	return nil
}

// askedHook is the tc hook that the configuration asks for. What is wrong with
// it ADD will say.
func askedHook(args *skel.CmdArgs) datapath.TCHook {
	network, err := config.Parse(args.StdinData)
	if err != nil {
		return datapath.AutoHook
	}
	return plan.Hook(network.TCHook)
}
