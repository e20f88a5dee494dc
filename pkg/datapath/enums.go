package datapath

import (
	"encoding/json"

	"github.com/xdp-port/xdp-port/pkg/pin"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

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

func (d direction) MarshalText() ([]byte, error) { return []byte(rules.Direction(d).String()), nil }

func (d *direction) UnmarshalJSON(text []byte) error {
	index, err := pin.DecodeEnum(text, directionWords)
	*d = direction(min(index, 0xff))
	return err
}

func (a action) MarshalText() ([]byte, error) { return []byte(rules.Action(a).String()), nil }

func (a *action) UnmarshalJSON(text []byte) error {
	index, err := pin.DecodeEnum(text, actionWords)
	*a = action(min(index, 0xff))
	return err
}

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
