package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"
)

// prevResult reads the result of the plugins before this one, for a
// configuration of the given version. CNI takes null for no result.
//
// What is in that version stays as it was written: the CNI library would drop
// the fields that it does not know.
func (p *parser) prevResult(v *value, cniVersion string) json.RawMessage {
	switch {
	case !v.good() || v.isNull() || cniVersion == "":
		return nil
	case !v.isObject():
		p.report(v, "%s is not an object", v)
		return nil
	}
	result, err := convert(v, cniVersion)
	if err != nil {
		p.report(v, "%v", err)
		return nil
	}
	return result
}

// convert returns a result in another version, or as it is if it is in that
// one. It must be one that the CNI library can read.
func convert(v *value, to string) (json.RawMessage, error) {
	from, raw := to, v.raw
	if own := v.at("cniVersion"); isUnset(own) {
		raw = withVersion(raw, to)
	} else {
		var isText bool
		if from, isText = own.text(); !isText {
			return nil, fmt.Errorf("its cniVersion, %s, is not a string", own)
		}
	}
	if !slices.Contains(resultVersions, from) {
		return nil, fmt.Errorf("its cniVersion, %s, is no version of CNI that has results: it must be one of %s",
			quote(from), strings.Join(resultVersions, ", "))
	}
	result, err := version.NewResult(from, raw)
	if err != nil || from == to {
		return raw, inJSONWords(err)
	}
	converted, err := convertTo(to, result)
	if err != nil {
		return nil, fmt.Errorf("is of version %s, the configuration of %s: %w", from, shorten(to), inJSONWords(err))
	}
	return json.Marshal(converted)
}

// resultVersions are the versions that the CNI library knows a result of.
var resultVersions = version.All.SupportedVersions()

// inJSONWords names the place of a value of the wrong type, without Go's types.
func inJSONWords(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return fmt.Errorf("%s: %s", kind.Field, WrongType(kind))
	}
	return err
}

// convertTo returns an error also where the CNI library panics: it does over a
// null in a list.
func convertTo(version string, result types.Result) (converted types.Result, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("cannot be converted: %v", cause)
		}
	}()
	return result.GetAsVersion(version)
}

// isUnset tells whether a version is left out, in any of the ways that CNI
// takes for that.
func isUnset(v *value) bool {
	text, isText := v.text()
	return v == nil || v.isNull() || isText && text == ""
}

// withVersion gives a result that names no version, as those of old plugins,
// the one of the configuration.
func withVersion(raw []byte, cniVersion string) json.RawMessage {
	members := map[string]json.RawMessage{}
	_ = json.Unmarshal(raw, &members) // the syntax has been checked
	members["cniVersion"], _ = json.Marshal(cniVersion)
	raw, _ = json.Marshal(members)
	return raw
}
