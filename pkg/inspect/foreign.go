package inspect

import (
	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
)

// ForeignProgram is a foreign program at a tc hook, or a filter without one.
type ForeignProgram struct {
	// Hook is tc_ingress or tc_egress.
	Hook string `json:"hook"`
	// Kind is tcx or clsact.
	Kind string `json:"kind"`
	// Classifier, Filter and Priority are of a clsact filter: its kind, such as bpf,
	// and the name that its owner gave it.
	Classifier string `json:"classifier,omitempty"`
	Filter     string `json:"filter,omitempty"`
	Priority   uint16 `json:"priority,omitempty"`
	// ID and Name are of the program; Name is "unknown" without CAP_SYS_ADMIN.
	ID   uint32 `json:"id,omitempty"`
	Name string `json:"name,omitempty"`

	text string
}

// TCHooks are those of the hooks of tc where the attachment has a program.
func (a *Attachment) TCHooks() []string {
	var hooks []string
	for _, p := range a.Programs {
		if p.Hook != "xdp" {
			hooks = append(hooks, p.Hook)
		}
	}
	return hooks
}

// CountAhead is the number of foreign programs ahead at a hook.
func (a *Attachment) CountAhead(hook string) int {
	count := 0
	for _, p := range a.ForeignAhead {
		if p.Hook == hook {
			count++
		}
	}
	return count
}

// String names it in messages.
func (p ForeignProgram) String() string { return p.text }

// lookAhead looks for foreign programs ahead of the attachment's.
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
