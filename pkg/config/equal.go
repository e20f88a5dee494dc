package config

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
)

// SameJSON tells whether two texts mean the same: white space, the order of keys
// and the spelling of strings and numbers do not count. Installers that read a
// conflist and write it again, as jq does, change nothing else.
//
// A text that is no JSON is the same as its own bytes only.
func SameJSON(a, b []byte) bool {
	if bytes.Equal(a, b) {
		return true
	}
	first, err := decodeAny(a)
	if err != nil {
		return false
	}
	second, err := decodeAny(b)
	return err == nil && reflect.DeepEqual(first, second)
}

func decodeAny(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	if err := decoder.Decode(&value); err != nil {
		return nil, err
	}
	return normalized(value), nil
}

// normalized replaces each number by its value: 1e3 is 1000. One that no float64
// can hold stays as it is spelled.
func normalized(value any) any {
	switch v := value.(type) {
	case json.Number:
		if float, err := strconv.ParseFloat(string(v), 64); err == nil {
			return float
		}
	case []any:
		for i := range v {
			v[i] = normalized(v[i])
		}
	case map[string]any:
		for key := range v {
			v[key] = normalized(v[key])
		}
	}
	return value
}
