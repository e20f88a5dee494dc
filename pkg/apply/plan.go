package apply

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/plan"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// Planned are the changes of a network's containers.
type Planned struct {
	Changes []*Change

	network string
	// attached are the names of all networks that have containers.
	attached []string
}

// Plan works out what each running container of a network is to get. It changes nothing.
//
// A container whose own rules conflict with those of the network has the outcome Failed.
func Plan(network string, entry *config.Entry) (*Planned, error) {
	list, err := inspect.Attachments()
	if err != nil {
		return nil, err
	}
	p := &Planned{network: network}
	for i := range list {
		a := &list[i]
		if !slices.Contains(p.attached, a.Network) {
			p.attached = append(p.attached, a.Network)
		}
		if a.Network == network {
			p.Changes = append(p.Changes, planChange(entry, a))
		}
	}
	return p, nil
}

func planChange(entry *config.Entry, a *inspect.Attachment) *Change {
	c := &Change{Network: a.Network, Container: a.Container, Interface: a.Interface, From: a}
	var err error
	if c.desired, err = desiredOf(entry, a); err != nil {
		c.Outcome, c.Error = Failed, err.Error()
	}
	return c
}

// desiredOf combines the network's rules with the container's own.
func desiredOf(entry *config.Entry, a *inspect.Attachment) (state.Desired, error) {
	network, err := entry.ForContainer(a.ContainerRules())
	if err != nil {
		return state.Desired{}, fmt.Errorf("with its own rules: %w", err)
	}
	return plan.Of(network)
}

// Check returns an error if a change has failed already, or if only containers of other
// networks are attached.
func (p *Planned) Check() error {
	if len(p.Changes) == 0 && len(p.attached) > 0 {
		return fmt.Errorf("no container of network %q is attached; there are containers of %s",
			p.network, strings.Join(p.attached, ", "))
	}
	var errs []error
	for _, c := range p.Changes {
		if c.Outcome == Failed {
			errs = append(errs, fmt.Errorf("%s: %s", c.From.Key(), c.Error))
		}
	}
	return errors.Join(errs...)
}
