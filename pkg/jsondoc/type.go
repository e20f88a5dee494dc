package jsondoc

import (
	"encoding/json"
	"reflect"
	"strings"
)

// TypeProblem describes a value of the wrong type in the words of JSON, where
// encoding/json uses the words of Go.
func TypeProblem(err *json.UnmarshalTypeError) string {
	return "CNI expects " + wordFor(err.Type) + " here, not " + withArticle(err.Value)
}

// wordFor names the JSON type that a Go type is read from.
func wordFor(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return "an object"
	default:
		return "a number"
	}
}

// withArticle translates the name that encoding/json gives a value, such as "number" or
// "number 1.5".
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
