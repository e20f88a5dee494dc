package inspect

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// TCHooks returns the tc hooks at which the attachment has a program.
func (a *Attachment) TCHooks() []string {
	var hooks []string
	for _, p := range a.Programs {
		if p.Hook != "xdp" {
			hooks = append(hooks, p.Hook)
		}
	}
	return hooks
}

// CountAhead returns the number of foreign programs ahead at a hook.
func (a *Attachment) CountAhead(hook string) int {
	count := 0
	for _, p := range a.ForeignAhead {
		if p.Hook == hook {
			count++
		}
	}
	return count
}

// lookAhead finds foreign programs that see packets before the attachment's.
func (a *Attachment) lookAhead(record *attachment.Record) {
	var hooks datapath.Hooks
	for _, hook := range a.TCHooks() {
		hooks.TCIngress = hooks.TCIngress || hook == "tc_ingress"
		hooks.TCEgress = hooks.TCEgress || hook == "tc_egress"
	}
	found, err := record.Ahead(a.folder, a.rulesetFolder, hooks)
	if err != nil {
		a.Problems = append(a.Problems, err.Error())
	}
	for _, f := range found {
		a.ForeignAhead = append(a.ForeignAhead, ForeignProgram{
			Hook: f.Hook, Kind: f.Kind.String(), Classifier: f.Classifier, Filter: f.Filter, Priority: f.Priority,
			ID: uint32(f.Program), Name: f.Name, text: f.String(),
		})
	}
	a.Problems = append(a.Problems, attachment.OrderProblems(found, record.Hook)...)
}

// ForeignAhead returns an error that names interfaces whose packets a foreign tc program sees
// before the rules; nil if there is none. It names the first few and counts the others.
func ForeignAhead(list []Attachment) error {
	const enough = 4
	var errs []error
	more := 0
	for i := range list {
		switch a := &list[i]; {
		case len(a.ForeignAhead) == 0:
		case len(errs) == enough:
			more++
		default:
			errs = append(errs, fmt.Errorf("%s: packets may bypass its rules: %s at %s of %s runs before xdp-port (%d in all)",
				a.Key(), a.ForeignAhead[0], a.ForeignAhead[0].Hook, a.Device, len(a.ForeignAhead)))
		}
	}
	if more > 0 {
		errs = append(errs, fmt.Errorf("and %d more interfaces", more))
	}
	return errors.Join(errs...)
}
