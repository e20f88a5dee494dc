package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/containernetworking/cni/pkg/skel"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/plan"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// check compares the attachment with the configuration.
func check(args *skel.CmdArgs) error {
	network, err := parseForAdd(args)
	if err != nil {
		return err
	}
	key := keyOf(args, network.Name)
	err = verify(args, key, network)
	if errors.Is(err, attachment.ErrDiffers) && network.OpenToContainers {
		err = fmt.Errorf("%w; if the container has its own rules, "+
			"CHECK needs the same runtimeConfig and args as ADD", err)
	}
	if err != nil {
		return fmt.Errorf("check %s: %w", key, err)
	}
	return nil
}

func verify(args *skel.CmdArgs, key state.Key, network *config.Network) error {
	reader, err := state.OpenForReading()
	if errors.Is(err, os.ErrNotExist) {
		if len(network.Rules) == 0 {
			return nil
		}
		return fmt.Errorf("%w: nothing is attached", attachment.ErrDiffers)
	}
	if err != nil {
		return err
	}
	defer reader.Close()
	if len(network.Rules) == 0 {
		return reader.VerifyAbsent(key)
	}
	desired, err := plan.Of(network)
	if err != nil {
		return err
	}
	device, err := hostSide(args)
	if err != nil {
		return err
	}
	return reader.Verify(key, device, desired)
}
