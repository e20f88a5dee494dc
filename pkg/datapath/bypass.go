package datapath

import (
	"fmt"
	"slices"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// BypassError says that a rule which keeps packets out cannot be enforced: a
// foreign tc program ahead of ours may let them through.
type BypassError struct {
	Rule    rules.Rule
	Foreign []ForeignTC
}

func (e *BypassError) Error() string {
	return fmt.Sprintf("the rule %q (%s) cannot be enforced: %s", e.Rule.Name, e.Rule.Action, describeOrder(e.Foreign, Clsact))
}

// Enforce returns a *BypassError if one of the rules that keep packets out is
// decided at a hook where one of these foreign programs is ahead.
func (rs *Ruleset) Enforce(ahead []ForeignTC) error {
	for _, at := range []side{ingress, egress} {
		foreign := foreignAt(ahead, at)
		if len(foreign) == 0 {
			continue
		}
		for i := range rs.Rules {
			if rs.isKeptOutAt(&rs.Rules[i], at) {
				return &BypassError{Rule: rs.Rules[i], Foreign: foreign}
			}
		}
	}
	return nil
}

func foreignAt(ahead []ForeignTC, at side) (found []ForeignTC) {
	for _, f := range ahead {
		if f.Hook == at.pin() {
			found = append(found, f)
		}
	}
	return found
}

// isKeptOutAt tells whether the rule keeps packets out, and some of them at this
// tc hook.
func (rs *Ruleset) isKeptOutAt(rule *rules.Rule, at side) bool {
	switch {
	case rule.Action == rules.Rewrite || rule.Action == rules.Pass:
		return false
	case rule.Direction == rules.Ingress:
		return at == egress
	}
	return at == ingress && rs.Hooks().TCIngress && rs.isLeftToTC(rule)
}

// isLeftToTC tells whether tc ingress decides packets of an egress rule that XDP
// has seen. In generic mode XDP leaves to it what may come by again, judged by
// ports (bpf/decide.h, may_come_again).
//
// Packets that XDP does not see at all, since they were redirected in the
// container, and those without a checksum are decided there, too. That is
// reported, but is no reason to refuse a container that mostly sends none.
func (rs *Ruleset) isLeftToTC(rule *rules.Rule) bool {
	switch {
	case rs.Mode == TC:
		return true
	case rs.Mode != Generic:
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

// OrderProblems says, a sentence for each hook, which foreign programs are ahead
// of an attachment that has this tc hook.
func OrderProblems(ahead []ForeignTC, hook TCHook) (problems []string) {
	for _, at := range []side{ingress, egress} {
		if foreign := foreignAt(ahead, at); len(foreign) > 0 {
			problems = append(problems, "packets may pass the rules by: "+describeOrder(foreign, hook))
		}
	}
	return problems
}

// describeOrder is for foreign programs at one hook.
func describeOrder(foreign []ForeignTC, hook TCHook) string {
	return fmt.Sprintf("at %s of %s %s may end the chain before xdp-port: %s",
		hookPoint{pin: foreign[0].Hook}, foreign[0].Device.Name, listForeign(foreign), orderFix(foreign, hook))
}

// orderFix says what puts our programs, at this tc hook, first.
func orderFix(foreign []ForeignTC, hook TCHook) string {
	stays := func(f ForeignTC) bool { return f.Kind == TCX || !f.yields }
	switch {
	case hook != Clsact, !slices.ContainsFunc(foreign, stays):
		return "detach it, or restart the container: ADD puts xdp-port first"
	case queryTCX() == nil:
		return `remove it, or set "tcHook" to "auto" and restart the container: tcx runs before clsact`
	}
	return fmt.Sprintf("remove it, or give its filter a priority above %d (Linux 6.6 has tcx, which runs before clsact)", filterPriority)
}

// VerifyOrder returns an error wrapping ErrDiffers that names the foreign tc
// programs ahead of the attachment in folder, of the ruleset loaded in dir. An
// attachment without a record is for Verify.
func VerifyOrder(folder, dir string, rs *Ruleset) error {
	record, err := ReadRecord(folder)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	ahead, err := record.Ahead(folder, dir, rs.Hooks())
	if err != nil {
		return unlikeOrUnread(err)
	}
	if problems := OrderProblems(ahead, record.Hook); len(problems) > 0 {
		return differs("%s", strings.Join(problems, "; "))
	}
	return nil
}
