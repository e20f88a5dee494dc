package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/xdp-port/xdp-port/pkg/bpffs"
	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/plan"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// add attaches the network's rules to the container's interface, and prints the result
// of the plugins before.
func add(args *skel.CmdArgs) error {
	network, err := parseForAdd(args)
	if err != nil {
		return err
	}
	key := keyOf(args, network.Name)
	isNew, err := attach(args, network)
	if err != nil {
		return fmt.Errorf("add %s: %w", key, err)
	}
	if _, err := os.Stdout.Write(network.PrevResult); err != nil {
		if isNew {
			err = errors.Join(err, detach(key))
		}
		return types.NewError(types.ErrIOFailure, fmt.Sprintf("add %s: print the result: %v", key, err), "")
	}
	return nil
}

func parseForAdd(args *skel.CmdArgs) (*config.Network, error) {
	network, err := config.Parse(args.StdinData)
	if err != nil {
		return nil, err
	}
	if network.PrevResult == nil {
		return nil, types.NewError(codeConfig, fmt.Sprintf("%s: prevResult is missing: xdp-port is a chained plugin, "+
			"list it after the one that makes the interface", keyOf(args, network.Name)), "")
	}
	return network, nil
}

// attach brings the interface into the desired state. It reports whether the interface
// had no rules before.
func attach(args *skel.CmdArgs, network *config.Network) (isNew bool, err error) {
	key := keyOf(args, network.Name)
	addResult = &attached{rules: len(network.Rules)}
	if len(network.Rules) == 0 {
		return false, detach(key)
	}
	desired, err := plan.Of(network)
	if err != nil {
		return false, err
	}
	device, err := hostSide(args)
	if err != nil {
		return false, err
	}
	iface, err := hook.Inspect(device)
	if err != nil {
		return false, err
	}
	transaction, err := state.OpenForChange()
	if err != nil {
		return false, err
	}
	was, err := transaction.IsAttached(key)
	if err == nil {
		err = transaction.Attach(key, iface, desired)
	}
	if err == nil && network.Log != "" {
		recordResult(transaction, key, network, iface)
	}
	if err = errors.Join(err, transaction.Close()); err == nil {
		warnOfForeign(key, transaction.Ahead())
	}
	return !was, err
}

// recordResult records for the log what ADD attached. It omits what it cannot read: ADD
// has succeeded.
func recordResult(transaction *state.Transaction, key state.Key, network *config.Network, iface hook.InterfaceState) {
	got, err := transaction.Outcome(key)
	if err != nil {
		return
	}
	addResult.mode, addResult.tcHook = got.Mode.String(), got.Hook.String()
	addResult.device, addResult.ruleset = got.Device.Name, got.Ruleset
	if network.Mode != config.ModeAuto || got.Mode != datapath.TC {
		return
	}
	addResult.fallback = "mode auto stays tc here until the container is re-created"
	if iface.HasForeignXDP {
		addResult.fallback = "mode auto is tc here: a foreign XDP program is on the device"
	}
}

// isNoState reports whether there is nothing to remove: the state folder is missing, or
// another user made it, so that ADD has refused it.
func isNoState(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, bpffs.ErrUntrusted)
}

// detach removes the attachments of the key. There may be none.
func detach(key state.Key) error {
	transaction, err := state.OpenExisting()
	if isNoState(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(transaction.Detach(key), transaction.Close())
}
