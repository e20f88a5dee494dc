package conflist

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/containernetworking/cni/libcni"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
	"github.com/xdp-port/xdp-port/pkg/printable"
)

// checkByCNI returns an error for what only CNI's own library refuses.
func (c *Conflist) checkByCNI() error {
	if len(c.Entries) == 0 || c.Entries[0].Index == 0 {
		return nil
	}
	if _, err := libcni.ConfListFromBytes(c.Text); err != nil {
		return &config.Error{Problems: []config.Problem{explainCNI(err)}}
	}
	return nil
}

// pluginNumber matches the library's name for a plugin.
var pluginNumber = regexp.MustCompile(`plugin config (\d+):`)

// explainCNI explains an error of the library in terms of JSON. The library names Go types
// and no place in the text.
func explainCNI(err error) config.Problem {
	const most = 400
	m := config.Problem{
		Place: "configuration", Text: printable.Short(withoutGo(err.Error()), most), At: jsondoc.Position{Line: 1, Column: 1},
	}
	if number := pluginNumber.FindStringSubmatch(err.Error()); number != nil {
		m.Place = fmt.Sprintf("plugins[%s]", number[1])
	}
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		if m.Place == "configuration" {
			m.Place = kind.Field
		} else {
			m.Place += "." + kind.Field
		}
		m.Text = jsondoc.TypeProblem(kind)
	}
	return m
}

var goTypes = strings.NewReplacer(
	"map[string]interface {}", "object", "[]interface {}", "list", "float64", "number", "<nil>", "null",
)

// withoutGo replaces Go types by the words of JSON.
func withoutGo(text string) string { return goTypes.Replace(text) }
