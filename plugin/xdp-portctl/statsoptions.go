package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/xdp-port/xdp-port/pkg/cli"
	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// statsOptions are the flags of stats.
type statsOptions struct {
	container string
	order     string
	interval  time.Duration
	watch     bool
	count     int
}

func orders(separator string) string {
	var words []string
	for _, order := range inspect.Orders {
		words = append(words, string(order))
	}
	return strings.Join(words, separator)
}

func (o *statsOptions) check() error {
	switch {
	case !slices.Contains(inspect.Orders, inspect.Order(o.order)):
		return fmt.Errorf("--sort %s: write one of %s", cli.Quote(o.order), orders(", "))
	case o.interval < 0 || o.watch && o.interval < 100*time.Millisecond:
		return fmt.Errorf("--interval %s is too short (at least 100ms)", o.interval)
	case o.count < 0:
		return fmt.Errorf("--count %d is less than 0", o.count)
	}
	return nil
}
