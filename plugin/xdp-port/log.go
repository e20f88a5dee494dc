package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/types"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/logs"
	"github.com/xdp-port/xdp-port/pkg/printable"
)

// logOutcome logs the outcome of an operation, if the configuration names a log. An
// error or a panic on the way goes to stderr, and does not fail the operation.
func logOutcome(name string, args *skel.CmdArgs, began time.Time, outcome error) {
	defer func() { _ = recover() }()
	target, network := config.LogTarget(args.StdinData)
	if target == "" {
		return
	}
	logs.Within(func() {
		logger, file, err := logs.Open(target)
		if err != nil {
			fmt.Fprintln(os.Stderr, "xdp-port:", printable.Short(err.Error(), maxAttribute))
			return
		}
		defer file.Close()
		write(logger.With(
			"operation", name, "network", short(network), "container", short(args.ContainerID), "interface", short(args.IfName),
			"netns", short(args.Netns), "milliseconds", time.Since(began).Milliseconds(),
		), name, outcome)
	})
}

// maxAttribute is the longest name in the log in characters.
const maxAttribute = 256

func short(s string) string { return printable.Short(s, maxAttribute) }

func write(logger *slog.Logger, name string, outcome error) {
	var refusal *types.Error
	switch {
	case outcome == nil:
		writeSuccess(logger, name+" succeeded")
	case errors.As(outcome, &refusal):
		refusal = bounded(refusal)
		logger.Error(name+" failed: "+refusal.Msg, "code", refusal.Code, "details", refusal.Details)
	default:
		logger.Error(name + " failed: " + printable.Bytes(outcome.Error(), maxMessage))
	}
}

// addResult is the result of ADD for the log. It is nil for other operations.
var addResult *attached

// attached describes an attachment.
type attached struct {
	rules                         int
	mode, tcHook, device, ruleset string
	// fallback says why auto is not its usual mode. It is mostly empty.
	fallback string
	// problems name the packets that may bypass the rules.
	problems []string
}

func writeSuccess(logger *slog.Logger, msg string) {
	if addResult == nil {
		logger.Info(msg)
		return
	}
	logger = logger.With("rules", addResult.rules)
	if addResult.mode != "" {
		logger = logger.With("mode", addResult.mode, "tcHook", addResult.tcHook, "device", short(addResult.device), "ruleset", addResult.ruleset)
	}
	level := slog.LevelInfo
	if addResult.fallback != "" {
		level, logger = slog.LevelWarn, logger.With("fallback", addResult.fallback)
	}
	if len(addResult.problems) > 0 {
		level = slog.LevelWarn
		logger = logger.With("problem", printable.Bytes(strings.Join(addResult.problems, "; "), maxMessage))
	}
	logger.Log(context.Background(), level, msg)
}
