package apply

import (
	"context"
	"errors"
	"slices"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// Make makes the changes and records their outcomes. It reports whether all went well:
// nothing failed, and no foreign program sees packets before the rules.
//
// A change that fails does not keep others from being made. Once the context is done, the
// remaining changes fail.
func Make(ctx context.Context, changes []*Change) bool {
	fine := true
	for _, c := range changes {
		if c.Outcome != Failed { // by Plan or Compare
			c.make(ctx)
			c.warn()
		}
		if c.Outcome == Failed || c.Warning != "" {
			fine = false
		}
	}
	return fine
}

func (c *Change) make(ctx context.Context) {
	err := ctx.Err()
	if err == nil {
		c.Outcome, err = c.store()
	}
	if err != nil {
		c.fail(err)
	}
}

// store changes the state. It opens the state for this container only, since that locks it.
func (c *Change) store() (outcome Outcome, err error) {
	store, err := state.OpenExisting()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	if c.detaches() {
		return Detached, store.Detach(c.From.Key())
	}
	changed, err := store.Change(c.From.Key(), c.desired)
	if changed {
		return Changed, err
	}
	return Unchanged, err
}

// warn sets the warning if foreign programs run ahead of rules that are in force.
func (c *Change) warn() {
	if len(c.From.ForeignAhead) > 0 && slices.Contains([]Outcome{Changed, Unchanged}, c.Outcome) {
		c.Warning = inspect.ForeignAhead([]inspect.Attachment{*c.From}).Error()
	}
}
