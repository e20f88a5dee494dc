package main

import (
	"fmt"

	"github.com/containernetworking/cni/pkg/skel"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// del removes the attachment, wherever it is. Nothing that is gone already is
// an error, and the rules are not even read: they may have changed since.
func del(args *skel.CmdArgs) error {
	network, err := config.ParseIdentity(args.StdinData)
	if err != nil {
		return err
	}
	key := keyOf(args, network.Name)
	if err := detach(key); err != nil {
		return fmt.Errorf("delete %s: %w", key, err)
	}
	return nil
}
