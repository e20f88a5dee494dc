package doctor

import (
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// foreignTC looks for foreign tc programs that see packets before the rules.
func foreignTC(list []inspect.Attachment) Finding {
	var found []string
	for i := range list {
		for _, foreign := range list[i].ForeignAhead {
			found = append(found, fmt.Sprintf("%s at %s has %s before xdp-port's", list[i].Device, foreign.Hook, foreign))
		}
	}
	if len(found) > 0 {
		return Finding{
			"order at tc", Wrong, some(found),
			"packets may bypass the rules: xdp-portctl list shows the fix for each",
		}
	}
	return Finding{"order at tc", Fine, "xdp-port's programs come first", ""}
}
