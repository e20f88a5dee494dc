package config

import (
	"errors"

	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

type value = jsondoc.Value

// parseDocument checks the syntax of a whole document. Errors are of type *Error.
func parseDocument(text []byte) (*value, error) {
	document, err := jsondoc.Parse(text, ruleKeys...)
	var malformed *jsondoc.Error
	if errors.As(err, &malformed) {
		problem := Problem{Place: malformed.Place, Text: malformed.Problem, At: malformed.At}
		return nil, &Error{Problems: []Problem{problem}, isMalformed: true}
	}
	return document, err
}
