package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
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
		m.Problem = fmt.Sprintf("CNI wants %s here, and not %s", wordFor(kind.Type), withArticle(kind.Value))
	}
	return m
}

// wordFor says in JSON's words what a Go type is read from.
func wordFor(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a number"
	}
}

// withArticle takes what encoding/json calls a value: "number", or "number 1.5".
func withArticle(value string) string {
	switch word, _, _ := strings.Cut(value, " "); word {
	case "array":
		return "a list"
	case "object":
		return "an object"
	case "bool":
		return "true or false"
	default:
		return "a " + word
	}
}

var goTypes = strings.NewReplacer(
	"map[string]interface {}", "object", "[]interface {}", "list", "float64", "number", "<nil>", "null",
)

// withoutGo puts JSON's words in the place of Go's types.
func withoutGo(text string) string { return goTypes.Replace(text) }
