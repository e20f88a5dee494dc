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
			fmt.Fprintln(os.Stderr, "xdp-port:", printable.Short(err.Error(), maxAttribute))
			return
		}
		defer file.Close()
		write(logger.With(
			"verb", name, "network", short(network), "container", short(args.ContainerID), "interface", short(args.IfName),
			"netns", short(args.Netns), "milliseconds", time.Since(began).Milliseconds(),
		), name, outcome)
	})
}

// maxAttribute is the most characters of a name in the log.
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

// made is what ADD came to, for the log; nil for other verbs.
var made *attached

// attached is what an interface got.
type attached struct {
	rules                         int
	mode, tcHook, device, ruleset string
	// fallback says why the mode is another than auto stands for; mostly empty.
	fallback string
	// problems say which packets may pass the rules by.
	problems []string
}

func writeSuccess(logger *slog.Logger, msg string) {
	if made == nil {
		logger.Info(msg)
		return
	}
	logger = logger.With("rules", made.rules)
	if made.mode != "" {
		logger = logger.With("mode", made.mode, "tcHook", made.tcHook, "device", short(made.device), "ruleset", made.ruleset)
	}
	level := slog.LevelInfo
	if made.fallback != "" {
		level, logger = slog.LevelWarn, logger.With("fallback", made.fallback)
	}
	if len(made.problems) > 0 {
		level = slog.LevelWarn
		logger = logger.With("problem", printable.Bytes(strings.Join(made.problems, "; "), maxMessage))
	}
	logger.Log(context.Background(), level, msg)
}
