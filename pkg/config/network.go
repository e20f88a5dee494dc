// Package config reads the plugin's network configuration, the bytes that a
// CNI runtime writes to stdin, and says everything that is wrong with it.
//
// It is pure: no system calls. It is stricter than encoding/json where a typo
// could switch a rule off: inside a rule the keys must be known, spelt exactly
// and given once. What is not xdp-port's own it leaves to CNI.
package config

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// The bounds of Network.Flows, and what it is where the configuration is
// silent.
const (
	MinFlows     = 1 << 10
	DefaultFlows = 1 << 16
	MaxFlows     = 1 << 20
)

// Network is a network configuration without mistakes.
type Network struct {
	CNIVersion string
	Name       string
	Type       string
	// PrevResult is what the plugins before this one made, in the version of
	// the configuration. It is nil where the runtime gave none: ADD cannot do
	// without, the other verbs can.
	PrevResult json.RawMessage

	Mode   Mode
	TCHook TCHook
	// Flows is how many rewritten flows are remembered at a time.
	Flows int
	// Log is where to write down what is done: nowhere if it is empty, "journald",
	// or the path of a file.
	Log string
	// Rules are the network's own in the order written, then those of the
	// container, each with a name that no other has.
	Rules []rules.Rule
	// ContainerRules are those of Rules that are the container's own, as they
	// were written, a list; nil if there are none.
	ContainerRules json.RawMessage
	// OpenToContainers tells whether a container may have rules of its own: a
	// capability that stands for them is declared.
	OpenToContainers bool
}

// networkKeys are the keys beside `rules` that mean something to the plugin.
// All others are CNI's business.
var networkKeys = []string{
	"cniVersion", "name", "type", "prevResult", "capabilities", "runtimeConfig", "args",
	"mode", "tcHook", "flows", "log", "rules",
}

// Parse reads a network configuration.
//
// Returns an *Error that lists all mistakes, in document order, if there is
// any. A missing prevResult is none.
func Parse(stdin []byte) (*Network, error) {
	document, err := parseDocument(stdin)
	if err != nil {
		return nil, err
	}
	p := new(parser)
	network := p.network(document)
	if err := p.err(); err != nil {
		return nil, err
	}
	return network, nil
}

func (p *parser) network(document *value) *Network {
	o, _ := p.object(document, networkKeys)
	return p.networkOf(o)
}

func (p *parser) networkOf(o object) *Network {
	granted := p.grants(o.in("capabilities"))
	network := &Network{
		CNIVersion: require(p, o, "cniVersion", `write "1.1.0"`, readString),
		Name:       require(p, o, "name", "give the network one", readNetworkName),
		Type:       take(p, o.in("type"), "", readString),
		Mode:       take(p, o.in("mode"), ModeAuto, readMode),
		TCHook:     take(p, o.in("tcHook"), HookAuto, readTCHook),
		Flows:      take(p, o.in("flows"), DefaultFlows, readFlows),
		Log:        take(p, o.in("log"), "", readLog),

		OpenToContainers: granted.rules || granted.annotations,
	}
	network.Rules, network.ContainerRules = p.allRules(o, granted)
	network.PrevResult = p.prevResult(o.in("prevResult"), network.CNIVersion)
	return network
}

func readFlows(v *value) (int, error) {
	if text, _ := v.text(); isDigits(text) {
		return 0, inQuotes(v, shorten(text))
	}
	flows, err := strconv.Atoi(string(v.raw))
	if err != nil || flows < MinFlows || flows > MaxFlows {
		return 0, fmt.Errorf("%s is not a number of flows (a whole number, %d to %d)", v, MinFlows, MaxFlows)
	}
	return flows, nil
}
