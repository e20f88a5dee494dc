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

// add brings the container's interface under the network's rules and hands on
// what the plugins before made.
func add(args *skel.CmdArgs) error {
	network, err := parseForAdd(args)
	if err != nil {
		return err
	}
	key := keyOf(args, network.Name)
	isNew, err := apply(args, network)
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

// apply tells whether it attached the interface, which had no rules before.
func apply(args *skel.CmdArgs, network *config.Network) (isNew bool, err error) {
	key := keyOf(args, network.Name)
	made = &attached{rules: len(network.Rules)}
	if len(network.Rules) == 0 {
		return false, detach(key)
	}
	wanted, err := plan.Of(network)
	if err != nil {
		return false, err
	}
	device, err := hostSide(args)
	if err != nil {
		return false, err
	}
	site, err := hook.Inspect(device)
	if err != nil {
		return false, err
	}
	store, err := state.OpenForChange()
	if err != nil {
		return false, err
	}
	was, err := store.IsAttached(key)
	if err == nil {
		err = store.Attach(key, site, wanted)
	}
	if err == nil && network.Log != "" {
		describe(store, key, network, site)
	}
	if err = errors.Join(err, store.Close()); err == nil {
		warnOfForeign(key, store.Ahead())
	}
	return !was, err
}

// describe has the log tell what the interface got. What cannot be read is left
// out: the interface has it all the same.
func describe(store *state.Transaction, key state.Key, network *config.Network, site hook.InterfaceState) {
	got, err := store.Outcome(key)
	if err != nil {
		return
	}
	made.mode, made.tcHook = got.Mode.String(), got.Hook.String()
	made.device, made.ruleset = got.Device.Name, got.Ruleset
	if network.Mode != config.ModeAuto || got.Mode != datapath.TC {
		return
	}
	made.fallback = "mode auto is tc here, and stays so until the container is made anew"
	if site.HasForeignXDP {
		made.fallback = "mode auto is tc here: somebody else's XDP program holds the device"
	}
}

// isNoState tells whether there is nothing to remove: there is no state folder, or
// none of xdp-port's, which ADD has refused.
func isNoState(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, bpffs.ErrUntrusted)
}

// detach removes what there is of the key, which may be nothing.
func detach(key state.Key) error {
	store, err := state.OpenExisting()
	if isNoState(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(store.Detach(key), store.Close())
}
