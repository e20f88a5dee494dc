package jsondoc

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strconv"
)

// Equal reports whether two texts mean the same. White space, the order of keys and the
// spelling of strings and numbers do not count: installers that read a conflist and
// write it again, as jq does, change only these.
//
// A text that is not JSON equals only the same bytes.
func Equal(a, b []byte) bool {
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

// normalized replaces each number by its value: 1e3 is 1000. A number outside the range of
// float64 keeps its spelling.
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
