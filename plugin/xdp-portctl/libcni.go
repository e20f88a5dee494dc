package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/printable"
)

// pluginNumber is how libcni says which plugin it is about.
var pluginNumber = regexp.MustCompile(`plugin config (\d+):`)

// refusedByCNI is what CNI's own library has against a conflist, which it says of
// Go's types, without a place.
func refusedByCNI(err error) config.Mistake {
	const most = 400
	m := config.Mistake{
		Place: "configuration", Problem: printable.Short(withoutGo(err.Error()), most), At: config.Position{Line: 1, Column: 1},
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
		m.Problem = config.WrongType(kind)
	}
	return m
}

var goTypes = strings.NewReplacer(
	"map[string]interface {}", "object", "[]interface {}", "list", "float64", "number", "<nil>", "null",
)

// withoutGo puts JSON's words in the place of Go's types.
func withoutGo(text string) string { return goTypes.Replace(text) }
