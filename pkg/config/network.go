// Package config reads the plugin's network configuration, the bytes that a
// CNI runtime writes to stdin, and says everything that is wrong with it.
//
// It is pure: no system calls. It is stricter than encoding/json where a typo
// could switch a rule off: keys must be known, spelt exactly and given once. What
// is not xdp-port's own it leaves to CNI.
package config

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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
	// Table is what Rules compile to.
	Table *rules.Table
	// OpenToContainers tells whether a container may have rules of its own: a
	// capability that stands for them is declared.
	OpenToContainers bool
}

// networkKeys are the keys that mean something to the plugin, its own last.
var networkKeys = []string{
	"cniVersion", "name", "type", "prevResult", "capabilities", "runtimeConfig", "args",
	"mode", "tcHook", "flows", "log", "rules",
}

// otherKeys are CNI's, what Multus puts into each plugin of a network with a
// device, and what editors find the schema by.
var otherKeys = []string{"ipam", "dns", "ipMasq", "deviceID", "pciBusID", "$schema"}

// isOthers tells whether a key is not for xdp-port to judge. Those with a domain,
// such as cni.dev/valid-attachments, are other software's, those with an underscore
// in front comments.
func isOthers(key string) bool {
	return slices.Contains(otherKeys, key) || strings.ContainsAny(key, "./") || strings.HasPrefix(key, "_")
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
	return p.networkOf(p.networkObject(document))
}

func (p *parser) networkObject(v *value) object {
	o, others := p.object(v, networkKeys)
	for _, m := range others {
		if !isOthers(m.key) {
			p.refuseKey(&o, m, networkKeys, "xdp-port has rules, mode, tcHook, flows, log and capabilities")
		}
	}
	return o
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
	known := len(p.mistakes)
	network.Rules, network.ContainerRules = p.allRules(o, granted)
	if len(p.mistakes) == known {
		network.Table = p.compile(o.in("rules"), network.Rules)
	}
	network.PrevResult = p.prevResult(o.in("prevResult"), network.CNIVersion)
	return network
}

// compile reports at v what only the rules together have too much of.
func (p *parser) compile(v *value, list []rules.Rule) *rules.Table {
	table, err := rules.Compile(list)
	if err != nil {
		p.report(v, "%v", err)
	}
	return table
}

func readFlows(v *value) (int, error) {
	if text, _ := v.text(); isDigits(text) {
		return 0, inQuotes(v, shorten(text))
	}
	flows, isWhole := v.whole()
	if !isWhole || flows < MinFlows || flows > MaxFlows {
		return 0, fmt.Errorf("%s is not a number of flows (a whole number, %d to %d)", v, MinFlows, MaxFlows)
	}
	return flows, nil
}
