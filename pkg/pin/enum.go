package pin

import (
	"encoding/json"
	"math"
	"slices"
)

// UnknownEnum is the value of a word that this build does not know.
const UnknownEnum = math.MaxUint32

// DecodeEnum returns the index of a JSON string among the words, UnknownEnum if it is
// not there. Builds before schema version 2 wrote the index itself.
func DecodeEnum(text []byte, words []string) (uint32, error) {
	var index uint32
	if json.Unmarshal(text, &index) == nil {
		return index, nil
	}
	var word string
	if err := json.Unmarshal(text, &word); err != nil {
		return UnknownEnum, err
	}
	if at := slices.Index(words, word); at >= 0 {
		return uint32(at), nil
	}
	return UnknownEnum, nil
}
