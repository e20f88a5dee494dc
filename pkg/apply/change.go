// Package apply gives running containers the rules of their network.
//
// Plan works out what each container is to get, Compare predicts the outcome, and Make makes
// the changes. Compare and Make hold the lock of the state for one container at a time, so
// that others can start and stop in between.
package apply

import (
	"errors"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// Outcome is the result of a change.
type Outcome string

// The outcomes of changes.
const (
	Changed   Outcome = "changed"
	Unchanged Outcome = "unchanged"
	Detached  Outcome = "detached"
	Gone      Outcome = "gone" // the container stopped meanwhile
	Failed    Outcome = "failed"
)

// Outcomes are the outcomes that differ from Unchanged.
var Outcomes = []Outcome{Changed, Detached, Failed, Gone}

// Change is the change of one interface of a container, with its outcome once that is known.
type Change struct {
	Network   string  `json:"network"`
	Container string  `json:"container"`
	Interface string  `json:"interface"`
	Outcome   Outcome `json:"outcome"`
	// DryRun reports that the outcome is a prediction of Compare.
	DryRun bool   `json:"dryRun,omitempty"`
	Error  string `json:"error,omitempty"`
	// Warning says that packets may bypass the rules, whatever the outcome.
	Warning string `json:"warning,omitempty"`
	// Difference is a diff from the rules in force to the desired rules.
	Difference string `json:"difference,omitempty"`

	// From is the attachment as it was read.
	From *inspect.Attachment `json:"-"`

	desired state.Desired
}

// detaches reports whether the change leaves the interface without rules.
func (c *Change) detaches() bool { return len(c.desired.Ruleset.Rules) == 0 }

// fail records an error. A container that stopped meanwhile is gone, not failed.
func (c *Change) fail(err error) {
	c.Outcome, c.Error = Failed, err.Error()
	if errors.Is(err, state.ErrNotAttached) {
		c.Outcome, c.Error = Gone, ""
	}
}
