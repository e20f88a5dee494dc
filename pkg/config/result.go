package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// prevResult reads the result of the plugins before, for a configuration of the given
// version. CNI accepts null for no result.
//
// A result in that version stays as it is written, because the CNI library would drop
// fields that it does not know.
func (p *parser) prevResult(v *value, cniVersion string) json.RawMessage {
	switch {
	case !v.IsGood() || v.IsNull() || cniVersion == "":
		return nil
	case !v.IsObject():
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

// convert returns a result in another version, or unchanged if it already has that version.
// The CNI library must be able to read it.
func convert(v *value, to string) (json.RawMessage, error) {
	from, raw := to, v.Raw()
	if own := v.At("cniVersion"); isUnset(own) {
		raw = withVersion(raw, to)
	} else {
		var isText bool
		if from, isText = own.Text(); !isText {
			return nil, fmt.Errorf("its cniVersion %s is not a string", own)
		}
	}
	if !slices.Contains(resultVersions, from) {
		return nil, fmt.Errorf("its cniVersion %s is not a version of CNI with results: it must be one of %s",
			jsondoc.Quote(from), strings.Join(resultVersions, ", "))
	}
	result, err := version.NewResult(from, raw)
	if err != nil || from == to {
		return raw, inJSONWords(err)
	}
	converted, err := convertTo(to, result)
	if err != nil {
		return nil, fmt.Errorf("has version %s, and the configuration has %s: %w", from, jsondoc.Shorten(to), inJSONWords(err))
	}
	return json.Marshal(converted)
}

// resultVersions are the versions with a result that the CNI library can read.
var resultVersions = version.All.SupportedVersions()

// inJSONWords names the place of a value with the wrong type, without the types of Go.
func inJSONWords(err error) error {
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) && kind.Field != "" {
		return fmt.Errorf("%s: %s", kind.Field, jsondoc.TypeProblem(kind))
	}
	return err
}

// convertTo returns an error instead of a panic. The CNI library panics if a list contains
// null.
func convertTo(version string, result types.Result) (converted types.Result, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("cannot be converted: %v", cause)
		}
	}()
	return result.GetAsVersion(version)
}

// isUnset reports whether a version is missing, in any of the ways that CNI accepts.
func isUnset(v *value) bool {
	text, isText := v.Text()
	return v == nil || v.IsNull() || isText && text == ""
}

// withVersion sets the version of a document. Results of old plugins have none.
func withVersion(raw []byte, cniVersion string) json.RawMessage {
	members := map[string]json.RawMessage{}
	_ = json.Unmarshal(raw, &members) // the syntax has been checked
	members["cniVersion"], _ = json.Marshal(cniVersion)
	raw, _ = json.Marshal(members)
	return raw
}
