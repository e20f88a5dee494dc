package inspect

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNotFound is the error for an ID that no container has.
var ErrNotFound = errors.New("unknown container")

// AmbiguousError is the error for the beginning of the IDs of several containers.
type AmbiguousError struct {
	Prefix string
	// Containers are the complete IDs, in ascending order.
	Containers []string
}

func (e *AmbiguousError) Error() string {
	return fmt.Sprintf("ambiguous container: %d IDs begin with %q, write more of it:\n  %s",
		len(e.Containers), e.Prefix, strings.Join(e.Containers, "\n  "))
}

// Container returns the attachments of the container with this ID, or with the only ID that
// begins with it. Returns an error wrapping ErrNotFound if there is none, an *AmbiguousError
// if there are several.
func Container(list []Attachment, prefix string) ([]Attachment, error) {
	var found []Attachment
	var ids []string
	for _, a := range list {
		if a.Container == prefix {
			return attachmentsOf(list, prefix), nil
		}
		if !strings.HasPrefix(a.Container, prefix) {
			continue
		}
		found = append(found, a)
		if !slices.Contains(ids, a.Container) {
			ids = append(ids, a.Container)
		}
	}
	switch {
	case len(ids) == 0:
		return nil, fmt.Errorf("%w: no attached container has an ID that begins with %q", ErrNotFound, prefix)
	case len(ids) > 1:
		slices.Sort(ids)
		return nil, &AmbiguousError{Prefix: prefix, Containers: ids}
	}
	return found, nil
}

func attachmentsOf(list []Attachment, id string) []Attachment {
	var found []Attachment
	for _, a := range list {
		if a.Container == id {
			found = append(found, a)
		}
	}
	return found
}
