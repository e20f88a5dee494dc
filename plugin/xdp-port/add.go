package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/datapath"
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
	site, err := datapath.Survey(device)
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
	return !was, errors.Join(err, store.Close())
}

// detach removes what there is of the key, which may be nothing.
func detach(key state.Key) error {
	store, err := state.OpenExisting()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(store.Detach(key), store.Close())
}
