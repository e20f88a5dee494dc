// Package config reads the plugin's network configuration, which a CNI runtime writes to
// stdin, and reports everything that is wrong in it.
//
// Parse reads a configuration as the plugin gets it. ParseList reads a conflist, and
// ParseEntry the entry alone. Their errors are of type *Error, which lists all problems
// with their places.
//
// The package is stricter than encoding/json, so that no typo can switch a rule off: keys
// must be known, exact and unique. It leaves foreign keys to CNI. It makes no system
// calls.
package config

import (
	"encoding/json"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/jsondoc"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// PluginType is the plugin type of xdp-port in a configuration.
const PluginType = "xdp-port"

// The bounds of Network.Flows and its default.
const (
	MinFlows     = 1 << 10
	DefaultFlows = 1 << 16
	MaxFlows     = 1 << 20
)

// Network is a valid network configuration.
type Network struct {
	CNIVersion string
	Name       string
	Type       string
	// PrevResult is the result of the plugins before, in the version of the configuration.
	// It is nil if the runtime gave none. Only ADD needs it.
	PrevResult json.RawMessage

	Mode   Mode
	TCHook TCHook
	// Flows is the number of flows that the flow table holds.
	Flows int
	// Log is the target of the log: "journald", the path of a file, or empty for none.
	Log string
	// Rules are the network's rules in order, then the container's own rules. Their names
	// are unique.
	Rules []rules.Rule
	// ContainerRules are the container's own rules as a JSON list, as they were written. It
	// is nil if there are none.
	ContainerRules json.RawMessage
	// Table is the compiled form of Rules.
	Table *rules.Table
	// OpenToContainers reports whether containers may have their own rules, because the
	// network declares a capability for them.
	OpenToContainers bool
}

// Parse reads a network configuration.
//
// Its errors are of type *Error. A missing prevResult is no error.
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
	return p.networkOf(p.networkObject(document))
}

// networkObject reads the keys of a configuration, and reports unknown ones.
func (p *parser) networkObject(v *value) object {
	o, others := p.object(v, networkKeys)
	for _, m := range others {
		if !isForeignKey(m.Key()) {
			p.refuseKey(&o, m, networkKeys, "xdp-port has rules, mode, tcHook, flows, log and capabilities")
		}
	}
	return o
}

// networkOf reads the values of a configuration.
func (p *parser) networkOf(o object) *Network {
	granted := p.grants(o.in("capabilities"))
	network := &Network{
		CNIVersion: require(p, o, "cniVersion", `write "1.1.0"`, readString),
		Name:       require(p, o, "name", "give the network a name", readNetworkName),
		Type:       take(p, o.in("type"), "", readString),
		Mode:       take(p, o.in("mode"), ModeAuto, readMode),
		TCHook:     take(p, o.in("tcHook"), HookAuto, readTCHook),
		Flows:      take(p, o.in("flows"), DefaultFlows, readFlows),
		Log:        take(p, o.in("log"), "", readLog),

		OpenToContainers: granted.rules || granted.annotations,
	}
	known := len(p.problems)
	network.Rules, network.ContainerRules = p.allRules(o, granted)
	if len(p.problems) == known {
		network.Table = p.compile(o.in("rules"), network.Rules)
	}
	network.PrevResult = p.prevResult(o.in("prevResult"), network.CNIVersion)
	return network
}

// compile compiles the rules. It reports at v a limit that all rules together exceed.
func (p *parser) compile(v *value, list []rules.Rule) *rules.Table {
	table, err := rules.Compile(list)
	if err != nil {
		p.report(v, "%v", err)
	}
	return table
}

func readFlows(v *value) (int, error) {
	if text, _ := v.Text(); isDigits(text) {
		return 0, inQuotes(v, jsondoc.Shorten(text))
	}
	flows, isWhole := v.Whole()
	if !isWhole || flows < MinFlows || flows > MaxFlows {
		return 0, fmt.Errorf("%s is not a number of flows (a whole number, %d to %d)", v, MinFlows, MaxFlows)
	}
	return flows, nil
}
