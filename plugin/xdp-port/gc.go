package main

import (
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/skel"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

// gc removes the network's attachments that are not in the runtime's list of valid
// attachments. Without a list it removes nothing.
func gc(args *skel.CmdArgs) error {
	network, err := config.ParseCollection(args.StdinData)
	if err != nil {
		return err
	}
	if network.ValidAttachments == nil {
		return nil
	}
	var valid []state.Key
	for _, a := range network.ValidAttachments {
		valid = append(valid, state.Key{Network: network.Name, Container: a.ContainerID, Interface: a.IfName})
	}
	if err := collect(network.Name, valid); err != nil {
		return fmt.Errorf("collect the stale attachments of network %s: %w", network.Name, err)
	}
	return nil
}

func collect(network string, valid []state.Key) error {
	netns, err := veth.OwnNetNS()
	if err != nil {
		return err
	}
	transaction, err := state.OpenExisting()
	if isNoState(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(transaction.Collect(network, valid, netns), transaction.Close())
}
