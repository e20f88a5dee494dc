package inspect

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// Ports is a range of ports; the zero value is none.
type Ports rules.PortRange

// String returns the port, or the range as in the configuration.
func (p Ports) String() string {
	if p.First == p.Last {
		return fmt.Sprint(p.First)
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// MarshalJSON returns a number, or a string for a range, as in the configuration.
func (p Ports) MarshalJSON() ([]byte, error) {
	if p.First == p.Last {
		return json.Marshal(p.First)
	}
	return json.Marshal(p.String())
}

// UnmarshalJSON reads what MarshalJSON writes.
func (p *Ports) UnmarshalJSON(text []byte) error {
	text = bytes.Trim(text, `"`)
	if n, _ := fmt.Sscanf(string(text), "%d-%d", &p.First, &p.Last); n == 0 {
		return fmt.Errorf("%s is neither a port nor a range of ports", text)
	} else if n == 1 {
		p.Last = p.First
	}
	return nil
}
