package datapath

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/veth"
)

const pinDescription = "description"

// IsLoaded reports whether a ruleset is loaded there: then it has a description.
func (dir Dir) IsLoaded() bool {
	_, err := os.Stat(filepath.Join(string(dir), pinDescription))
	return err == nil
}

// Description is what a loaded ruleset was made of. The maps alone do not tell a rule's
// name or its addresses.
type Description struct {
	Ruleset
	// ChecksumHelper tells that its programs cannot read the kernel's skb, and call a
	// helper for checksums. That takes some 60 ns a packet more, and the checksums of
	// UDP tunnels are in doubt.
	ChecksumHelper bool
}

// PinDescription writes what the programs were loaded for into dir, beside them.
//
// Returns an error wrapping pin.ErrMap or pin.ErrPin.
func (p *Programs) PinDescription(dir Dir, rs *Ruleset) error {
	return pin.WriteDocument(string(dir), pinDescription, documentOf(rs, p.checksumHelper))
}

// Description reads what the ruleset was loaded for.
//
// Returns an error wrapping os.ErrNotExist if there is none, and pin.ErrUnreadable if
// something else is in its place. With an error wrapping pin.ErrNewer it returns what
// this build knows of the description of a newer version.
func (dir Dir) Description() (*Description, error) {
	var document descriptionDocument
	err := pin.ReadDocument(string(dir), pinDescription, &document)
	if err != nil && !errors.Is(err, pin.ErrNewer) {
		return nil, err
	}
	if err == nil && !document.isKnown() {
		return nil, fmt.Errorf("%w: %s/%s: it has words that are not known", pin.ErrUnreadable, dir, pinDescription)
	}
	return document.description(), err
}

// descriptionDocument is a description in bpffs.
type descriptionDocument struct {
	Rules          []ruleDocument `json:"rules"`
	Mode           Mode           `json:"mode"`
	Flows          int            `json:"flows"`
	NetNS          veth.NetNS     `json:"netns"`
	ChecksumHelper bool           `json:"checksumHelper,omitempty"`
}

type ruleDocument struct {
	Name      string         `json:"name"`
	Direction direction      `json:"direction"`
	Protocol  protocol       `json:"protocol"`
	Ports     portsDocument  `json:"ports"`
	Action    action         `json:"action"`
	To        portsDocument  `json:"to"`
	Peers     []netip.Prefix `json:"peers,omitempty"`
	OneWay    bool           `json:"oneWay,omitempty"`
}

type portsDocument struct {
	First uint16 `json:"first"`
	Last  uint16 `json:"last"`
}

func documentOf(rs *Ruleset, checksumHelper bool) *descriptionDocument {
	document := &descriptionDocument{Mode: rs.Mode, Flows: rs.Flows, NetNS: rs.NetNS, ChecksumHelper: checksumHelper}
	for i := range rs.Rules {
		rule := &rs.Rules[i]
		document.Rules = append(document.Rules, ruleDocument{
			Name: rule.Name, Direction: direction(rule.Direction), Protocol: protocol(rule.Protocol),
			Ports: portsDocument(rule.Ports), Action: action(rule.Action), To: portsDocument(rule.To),
			Peers: rule.Peers, OneWay: rule.OneWay,
		})
	}
	return document
}

func (d *descriptionDocument) description() *Description {
	description := &Description{
		Ruleset:        Ruleset{Mode: d.Mode, Flows: d.Flows, NetNS: d.NetNS},
		ChecksumHelper: d.ChecksumHelper,
	}
	for i := range d.Rules {
		rule := &d.Rules[i]
		description.Rules = append(description.Rules, rules.Rule{
			Name: rule.Name, Direction: rules.Direction(rule.Direction), Protocol: rules.Protocol(rule.Protocol),
			Ports: rules.PortRange(rule.Ports), Action: rules.Action(rule.Action), To: rules.PortRange(rule.To),
			Peers: rule.Peers, OneWay: rule.OneWay,
		})
	}
	return description
}

// isKnown reports whether all enumerations have values of this build.
func (d *descriptionDocument) isKnown() bool {
	for i := range d.Rules {
		rule := &d.Rules[i]
		if int(rule.Direction) >= len(directionWords) || int(rule.Action) >= len(actionWords) || rule.Protocol == unknownProtocol {
			return false
		}
	}
	return d.Mode.IsKnown()
}

// The enumerations of a rule, as a description has them: words, or numbers where a
// build before schema version 2 wrote it.
type (
	direction rules.Direction
	action    rules.Action
	protocol  rules.Protocol
)

var (
	directionWords = []string{rules.Egress: "egress", rules.Ingress: "ingress"}
	actionWords    = []string{rules.Rewrite: "rewrite", rules.Drop: "drop", rules.Pass: "pass"}
)

// MarshalText returns the word.
func (d direction) MarshalText() ([]byte, error) { return []byte(rules.Direction(d).String()), nil }

// UnmarshalJSON reads the word or the number.
func (d *direction) UnmarshalJSON(text []byte) error {
	index, err := pin.DecodeEnum(text, directionWords)
	*d = direction(min(index, 0xff))
	return err
}

// MarshalText returns the word.
func (a action) MarshalText() ([]byte, error) { return []byte(rules.Action(a).String()), nil }

// UnmarshalJSON reads the word or the number.
func (a *action) UnmarshalJSON(text []byte) error {
	index, err := pin.DecodeEnum(text, actionWords)
	*a = action(min(index, 0xff))
	return err
}

// MarshalText returns the word.
func (p protocol) MarshalText() ([]byte, error) { return []byte(rules.Protocol(p).String()), nil }

// unknownProtocol is IP protocol 0, which no rule has.
const unknownProtocol = protocol(0)

// UnmarshalJSON reads the word, or IANA's number.
func (p *protocol) UnmarshalJSON(text []byte) error {
	*p = unknownProtocol
	var number rules.Protocol
	if json.Unmarshal(text, &number) != nil {
		index, err := pin.DecodeEnum(text, []string{"tcp", "udp"})
		if err != nil {
			return err
		}
		if index < 2 {
			*p = protocol([]rules.Protocol{rules.TCP, rules.UDP}[index])
		}
	} else if number == rules.TCP || number == rules.UDP {
		*p = protocol(number)
	}
	return nil
}
