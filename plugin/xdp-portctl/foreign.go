package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// findForeign looks for foreign tc programs ahead of any container's rules, and
// reports them. It does not put ours first: there would be a gap in the rules, and
// no end if somebody else insists, too.
func (a *agent) findForeign() {
	list, err := inspect.Attachments()
	if err != nil {
		a.settle(aboutForeign, err)
		return
	}
	a.settle(aboutForeign, foreignAhead(list))
}

// warn notes foreign programs ahead of a container whose rules are in force.
func (c *change) warn() {
	if len(c.from.ForeignAhead) > 0 && slices.Contains([]string{outcomeChanged, outcomeUnchanged}, c.Outcome) {
		c.Warning = foreignAhead([]inspect.Attachment{*c.from}).Error()
	}
}

// foreignAhead names the foreign programs of the first few interfaces.
func foreignAhead(list []inspect.Attachment) error {
	const enough = 4
	var errs []error
	more := 0
	for i := range list {
		switch a := &list[i]; {
		case len(a.ForeignAhead) == 0:
		case len(errs) == enough:
			more++
		default:
			errs = append(errs, fmt.Errorf("%s: packets may pass its rules by: %s at %s of %s runs before xdp-port (%d in all)",
				a.Key(), a.ForeignAhead[0], a.ForeignAhead[0].Hook, a.Device, len(a.ForeignAhead)))
		}
	}
	if more > 0 {
		errs = append(errs, fmt.Errorf("and %d more interfaces", more))
	}
	return errors.Join(errs...)
}
