package conflist

import (
	"errors"
	"fmt"
	"regexp"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// TestExplainCNI wants places and the words of JSON.
func TestExplainCNI(t *testing.T) {
	leak := regexp.MustCompile(`Go |float64|interface|json:|unmarshal|types\.`)
	for list, want := range map[string]string{
		`"plugins": [{"type": "bridge", "capabilities": {"a": 5}}, %s]`:   `plugins[0].capabilities: CNI wants true or false here, and not a number`,
		`"plugins": [{"type": "bridge", "dns": "x"}, %s]`:                 `plugins[0].dns: CNI wants an object here, and not a string`,
		`"plugins": [{"type": "bridge", "dns": {"search": true}}, %s]`:    `plugins[0].dns.search: CNI wants a list here, and not true or false`,
		`"disableCheck": 5, "plugins": [{"type": "bridge"}, %s]`:          `configuration: error parsing configuration list: invalid type number for disableCheck`,
		`"disableGC": {}, "plugins": [{"type": "bridge"}, %s]`:            `configuration: error parsing configuration list: invalid type object for disableGC`,
		`"loadOnlyInlinedPlugins": [], "plugins": [{"type": "ptp"}, %s]`:  `configuration: error parsing configuration list: invalid type list for loadOnlyInlinedPlugins`,
		`"disableCheck": "maybe", "plugins": [{"type": "bridge"}, %s]`:    `configuration: error parsing configuration list: invalid value "maybe" for disableCheck`,
		`"plugins": [{"type": "bridge", "ipam": {"type": ["x"]}}, %[1]s]`: `plugins[0].ipam.type: CNI wants a string here, and not a list`,
	} {
		text := fmt.Appendf(nil, `{"cniVersion": "1.0.0", "name": "lab", `+list+`}`, `{"type": "xdp-port", "rules": []}`)
		var mistakes *config.Error
		if _, err := New("lab.conflist", config.Inlined{Text: text}); !errors.As(err, &mistakes) || len(mistakes.Mistakes) != 1 {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := mistakes.Mistakes[0].String(); got != want || leak.MatchString(got) {
			t.Errorf("%s:\n got %s\nwant %s", text, got, want)
		}
	}
}
