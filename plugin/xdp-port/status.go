package main

import (
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/plan"
)

// status returns an error if ADD cannot work on this node with this configuration. It
// changes nothing.
func status(args *skel.CmdArgs) error {
	network, err := config.Parse(args.StdinData)
	if err != nil {
		return err
	}
	kernelReady := func() error { return hook.Ready(plan.Hook(network.TCHook)) }
	modeReady := plan.Mode(network.Mode).Check
	for _, ready := range []func() error{kernel.Privileged, bpffs.Ready, bpffs.Lockable, kernelReady, modeReady} {
		if err := ready(); err != nil {
			return types.NewError(codeNotAvailable, "xdp-port cannot serve ADD: "+err.Error(), "")
		}
	}
	return nil
}
