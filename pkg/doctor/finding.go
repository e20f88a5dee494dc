package doctor

import (
	"fmt"
	"strings"
)

// Status is the result of a check.
type Status string

// The results of checks.
const (
	// Fine needs no action.
	Fine Status = "fine"
	// Warning works, but not as well as it could.
	Warning Status = "warning"
	// Wrong does not work.
	Wrong Status = "wrong"
	// Unknown could not be checked, mostly because privileges are missing.
	Unknown Status = "unknown"
)

// Finding is the result of one check, with details.
type Finding struct {
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Detail says what was found.
	Detail string `json:"detail"`
	// Fix says what to do; empty if there is nothing to do.
	Fix string `json:"fix,omitempty"`
}

// some lists the first few things and counts the others.
func some(things []string) string {
	const enough = 4
	if len(things) > enough {
		return fmt.Sprintf("%s, and %d more", strings.Join(things[:enough], ", "), len(things)-enough)
	}
	return strings.Join(things, ", ")
}
