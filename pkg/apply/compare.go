package apply

import (
	"errors"
	"os"

	"github.com/xdp-port/xdp-port/pkg/state"
)

// Compare predicts the outcome of each change and describes the difference. It changes
// nothing.
func Compare(changes []*Change) error {
	for _, c := range changes {
		c.DryRun = true
		if c.Outcome == Failed { // by Plan
			continue
		}
		if err := c.compare(); err != nil {
			return err
		}
	}
	return nil
}

// compare opens the state for this container only, since that locks it.
func (c *Change) compare() error {
	reader, err := state.OpenForReading()
	if errors.Is(err, os.ErrNotExist) {
		c.Outcome = Gone
		return nil
	}
	if err != nil {
		return err
	}
	changes, err := reader.WouldChange(c.From.Key(), c.desired)
	if err := errors.Join(err, reader.Close()); err != nil {
		c.fail(err)
		return nil
	}
	switch {
	case !changes:
		c.Outcome = Unchanged
		return nil
	case c.detaches():
		c.Outcome = Detached
	default:
		c.Outcome = Changed
	}
	c.Difference = difference(c.From, c.desired)
	return nil
}
