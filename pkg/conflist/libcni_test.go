package conflist

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/confedit"
	"github.com/xdp-port/xdp-port/pkg/config"
)

// TestExplainCNI requires places and the words of JSON.
func TestExplainCNI(t *testing.T) {
	leak := regexp.MustCompile(`Go |float64|interface|json:|unmarshal|types\.`)
	for list, want := range map[string]string{
		`"plugins": [{"type": "bridge", "capabilities": {"a": 5}}, %s]`:   `plugins[0].capabilities: CNI expects true or false here, not a number`,
		`"plugins": [{"type": "bridge", "dns": "x"}, %s]`:                 `plugins[0].dns: CNI expects an object here, not a string`,
		`"plugins": [{"type": "bridge", "dns": {"search": true}}, %s]`:    `plugins[0].dns.search: CNI expects a list here, not true or false`,
		`"disableCheck": 5, "plugins": [{"type": "bridge"}, %s]`:          `configuration: error parsing configuration list: invalid type number for disableCheck`,
		`"disableGC": {}, "plugins": [{"type": "bridge"}, %s]`:            `configuration: error parsing configuration list: invalid type object for disableGC`,
		`"loadOnlyInlinedPlugins": [], "plugins": [{"type": "ptp"}, %s]`:  `configuration: error parsing configuration list: invalid type list for loadOnlyInlinedPlugins`,
		`"disableCheck": "maybe", "plugins": [{"type": "bridge"}, %s]`:    `configuration: error parsing configuration list: invalid value "maybe" for disableCheck`,
		`"plugins": [{"type": "bridge", "ipam": {"type": ["x"]}}, %[1]s]`: `plugins[0].ipam.type: CNI expects a string here, not a list`,
	} {
		text := fmt.Appendf(nil, `{"cniVersion": "1.0.0", "name": "lab", `+list+`}`, `{"type": "xdp-port", "rules": []}`)
		var invalid *config.Error
		if _, err := New("lab.conflist", confedit.Inlined{Text: text}); !errors.As(err, &invalid) || len(invalid.Problems) != 1 {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := invalid.Problems[0].String(); got != want || leak.MatchString(got) {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}
