package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/logs"
)

// logged writes down how a verb came out, where the configuration wants that. A
// log that cannot be written fails no verb, nor does a panic on the way: it is
// said on stderr, which runtimes keep or not.
func logged(name string, args *skel.CmdArgs, began time.Time, outcome error) {
	defer func() { _ = recover() }()
	target, network := config.LogTarget(args.StdinData)
	if target == "" {
		return
	}
	logs.Within(func() {
		logger, file, err := logs.Open(target)
		if err != nil {
			fmt.Fprintln(os.Stderr, "xdp-port:", err)
			return
		}
		defer file.Close()
		write(logger.With(
			"verb", name, "network", network, "container", args.ContainerID, "interface", args.IfName,
			"netns", args.Netns, "milliseconds", time.Since(began).Milliseconds(),
		), name, outcome)
	})
}

func write(logger *slog.Logger, name string, outcome error) {
	var refusal *types.Error
	switch {
	case outcome == nil:
		logger.Info(name + " succeeded")
	case errors.As(outcome, &refusal):
		logger.Error(name+" failed: "+refusal.Msg, "code", refusal.Code, "details", refusal.Details)
	default:
		logger.Error(name + " failed: " + outcome.Error())
	}
}
