package main

import (
	"fmt"

	"github.com/containernetworking/cni/pkg/skel"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// del removes the attachment, under whichever rules it is. It is no error if there is
// none. It does not read the rules, because they may have changed since ADD.
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
