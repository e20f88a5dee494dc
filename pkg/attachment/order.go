package attachment

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// ErrBypass is the kind of a *BypassError.
var ErrBypass = errors.New("bypassed rule")

// BypassError says that a rule which drops packets cannot be enforced: a foreign tc program
// ahead of ours may let them through.
type BypassError struct {
	Rule    rules.Rule
	Foreign []hook.ForeignTC
}

// Unwrap returns ErrBypass.
func (e *BypassError) Unwrap() error { return ErrBypass }

func (e *BypassError) Error() string {
	return fmt.Sprintf("the rule %q (%s) cannot be enforced: %s", e.Rule.Name, e.Rule.Action, describeOrder(e.Foreign, hook.Clsact))
}

// Enforce returns a *BypassError if a rule that drops packets is decided at a hook where one
// of these foreign programs is ahead.
func Enforce(rs *datapath.Ruleset, ahead []hook.ForeignTC) error {
	for _, at := range hook.Sides {
		foreign := foreignAt(ahead, at)
		if len(foreign) == 0 {
			continue
		}
		for i := range rs.Rules {
			if isKeptOutAt(rs, &rs.Rules[i], at) {
				return &BypassError{Rule: rs.Rules[i], Foreign: foreign}
			}
		}
	}
	return nil
}

func foreignAt(ahead []hook.ForeignTC, at hook.Side) (found []hook.ForeignTC) {
	for _, f := range ahead {
		if f.Hook == string(at.Point()) {
			found = append(found, f)
		}
	}
	return found
}

// isKeptOutAt reports whether the rule drops packets, some of them at this tc hook.
func isKeptOutAt(rs *datapath.Ruleset, rule *rules.Rule, at hook.Side) bool {
	switch {
	case rule.Action == rules.Rewrite || rule.Action == rules.Pass:
		return false
	case rule.Direction == rules.Ingress:
		return at == hook.Egress
	}
	return at == hook.Ingress && rs.Hooks().TCIngress && isLeftToTC(rs, rule)
}

// isLeftToTC reports whether tc ingress decides packets of an egress rule that XDP has seen.
// In generic mode XDP leaves packets to tc ingress that may come again, judged by their ports
// (bpf/decide.h, may_come_again).
//
// tc ingress also decides packets that XDP does not see, because the container redirected them,
// and frames with two VLAN tags. That is reported, but is no reason to refuse a container that
// sends few of them.
func isLeftToTC(rs *datapath.Ruleset, rule *rules.Rule) bool {
	switch {
	case rs.Mode == datapath.TC:
		return true
	case rs.Mode != datapath.Generic:
		return false
	case rule.Action != rules.Drop:
		return true
	}
	for i := range rs.Rules {
		other := &rs.Rules[i]
		if other.Protocol != rule.Protocol {
			continue
		}
		isOutput := other.Action == rules.Rewrite && other.To.Overlaps(rule.Ports)
		if other.Direction == rules.Ingress || isOutput {
			return true
		}
	}
	return false
}

// OrderProblems returns a sentence for each side of tc that names the foreign programs ahead of
// an attachment with this tc hook.
func OrderProblems(ahead []hook.ForeignTC, tcHook hook.TCHook) (problems []string) {
	for _, at := range hook.Sides {
		if foreign := foreignAt(ahead, at); len(foreign) > 0 {
			problems = append(problems, "packets may pass the rules by: "+describeOrder(foreign, tcHook))
		}
	}
	return problems
}

// describeOrder describes foreign programs at one hook.
func describeOrder(foreign []hook.ForeignTC, tcHook hook.TCHook) string {
	return fmt.Sprintf("at %s of %s %s may end the chain before xdp-port: %s",
		hook.Point(foreign[0].Hook), foreign[0].Device.Name, hook.ListForeign(foreign), orderFix(foreign, tcHook))
}

// orderFix says how to put our programs first at this tc hook.
func orderFix(foreign []hook.ForeignTC, tcHook hook.TCHook) string {
	stays := func(f hook.ForeignTC) bool { return f.Kind == hook.TCX || !f.Yields }
	switch {
	case tcHook != hook.Clsact, !slices.ContainsFunc(foreign, stays):
		return "detach it, or restart the container: ADD puts xdp-port first"
	case kernel.TCX.Check() == nil:
		return `remove it, or set "tcHook" to "auto" and restart the container: tcx runs before clsact`
	}
	return fmt.Sprintf("remove it, or give its filter a priority above %d (Linux 6.6 has tcx, which runs before clsact)", hook.FilterPriority)
}

// VerifyOrder returns an error wrapping ErrDiffers that names the foreign tc programs ahead of
// the attachment. Verify reports a missing record.
func (folder Folder) VerifyOrder(ruleset datapath.Dir, rs *datapath.Ruleset) error {
	record, err := folder.Record()
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	ahead, err := record.Ahead(folder, ruleset, rs.Hooks())
	if err != nil {
		return unlikeOrUnread(err)
	}
	if problems := OrderProblems(ahead, record.Hook); len(problems) > 0 {
		return differs("%s", strings.Join(problems, "; "))
	}
	return nil
}

// Ahead returns the foreign tc programs that run before those of the attachment at these hooks
// and may end the chain, so that packets bypass the rules. It treats a hook without a program of
// the attachment as if there were one.
//
// Returns an error wrapping hook.ErrInspect.
func (folder Folder) Ahead(ruleset datapath.Dir, hooks datapath.Hooks) ([]hook.ForeignTC, error) {
	record, err := folder.Record()
	if err != nil {
		return nil, err
	}
	return record.Ahead(folder, ruleset, hooks)
}

// Ahead is the function Ahead for an attachment that has this record.
func (r *Record) Ahead(folder Folder, ruleset datapath.Dir, hooks datapath.Hooks) ([]hook.ForeignTC, error) {
	ours := func() map[ebpf.ProgramID]bool { return ruleset.TCPrograms() }
	var all []hook.ForeignTC
	for _, at := range tcSides(hooks) {
		found, err := r.placement().Ahead(at, folder.path(at.Point()), ours)
		if err != nil {
			return nil, fmt.Errorf("%w: look for programs ahead of xdp-port at tc %s of %s: %w", hook.ErrInspect, at, r.Device.Name, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// tcSides are the sides of tc where the hooks have a program.
func tcSides(hooks datapath.Hooks) (sides []hook.Side) {
	if hooks.TCIngress {
		sides = append(sides, hook.Ingress)
	}
	if hooks.TCEgress {
		sides = append(sides, hook.Egress)
	}
	return sides
}

// CanBeFirst reports whether re-creating the attachment at the desired tc hook puts it before
// these foreign programs.
func (folder Folder) CanBeFirst(desired hook.TCHook, ahead []hook.ForeignTC) bool {
	record, err := folder.Record()
	if err != nil {
		return false
	}
	if desired == hook.AutoHook {
		if desired, err = hook.Best(); err != nil {
			return false
		}
	}
	if desired == hook.TCX {
		return true
	}
	return !slices.ContainsFunc(ahead, func(f hook.ForeignTC) bool {
		return f.Kind == hook.TCX || !record.placement().CanPrecede(f)
	})
}
