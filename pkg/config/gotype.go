package config

import (
	"encoding/json"
	"reflect"
	"strings"
)

// WrongType says in JSON's words what encoding/json says in Go's of a value.
func WrongType(err *json.UnmarshalTypeError) string {
	return "CNI wants " + wordFor(err.Type) + " here, and not " + withArticle(err.Value)
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
	case reflect.Struct, reflect.Map, reflect.Pointer:
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
