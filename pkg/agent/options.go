package agent

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/xdp-port/xdp-port/pkg/endpoint"
	"github.com/xdp-port/xdp-port/pkg/install"
	"github.com/xdp-port/xdp-port/pkg/metrics"
	"github.com/xdp-port/xdp-port/pkg/printable"
)

// Options configure the agent.
type Options struct {
	// Programs is the folder of the CNI plugins.
	Programs string
	Networks install.Networks

	// Config is a file with xdp-port's entry. Without it the entry is at a Key of a
	// ConfigMap, NAMESPACE/NAME.
	Config, ConfigMap, Key string
	// DaemonSet is the name of the agent's own, in the ConfigMap's namespace. When it is
	// deleted, the agent uninstalls xdp-port. It may be empty.
	DaemonSet string

	// Interval is the time between two searches for differences, GCInterval that between two
	// garbage collections.
	Interval, GCInterval time.Duration

	Serving endpoint.Options
	// Authorize decides about tokens. It may be nil if Serving requires none.
	Authorize endpoint.Authorize
	// OnServing is called with the URL at which the agent serves.
	OnServing func(url string)
	Limits    metrics.Limits

	Log *slog.Logger
}

// Check returns an error for values out of range. It names them by the flags of xdp-portctl
// agent.
func (o *Options) Check() error {
	if o.Interval <= 0 || o.GCInterval <= 0 {
		return errors.New("--interval and --gc-interval must be more than 0")
	}
	if o.Config == "" && o.ConfigMap == "" {
		return errors.New("--config or --configmap is empty")
	}
	namespace, name, _ := strings.Cut(o.ConfigMap, "/")
	if o.ConfigMap != "" && (namespace == "" || name == "" || strings.Contains(name, "/")) {
		return fmt.Errorf("--configmap %q: this is not NAMESPACE/NAME", printable.Cut(o.ConfigMap, 60))
	}
	return nil
}
