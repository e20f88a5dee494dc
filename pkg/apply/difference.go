package apply

import (
	"fmt"
	"strings"

	"github.com/rogpeppe/go-internal/diff"

	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// difference is a diff from what is in force to what is desired, a rule a line; empty if
// only the programs differ.
func difference(a *inspect.Attachment, desired state.Desired) string {
	return string(diff.Diff("in force", inForce(a), "desired", describe(a, desired)))
}

func inForce(a *inspect.Attachment) []byte {
	return lines(a.Mode, a.TCHook, a.FlowLimit, a.Rules)
}

// describe describes the desired state. Where the configuration leaves the choice of mode or
// hook, the one in force is among those desired.
func describe(a *inspect.Attachment, desired state.Desired) []byte {
	mode, tcHook := desired.Ruleset.Mode.String(), desired.Hook.String()
	if desired.Fallback != nil && a.Mode == desired.Fallback.Mode.String() {
		mode = a.Mode
	}
	if desired.Hook == hook.AutoHook {
		tcHook = a.TCHook
	}
	rules := make([]inspect.Rule, len(desired.Ruleset.Rules))
	for i := range rules {
		rules[i] = inspect.RuleOf(i, &desired.Ruleset.Rules[i])
	}
	return lines(mode, tcHook, desired.Ruleset.Flows, rules)
}

// lines describes the options in the first line and a rule in each other one.
func lines(mode, hook string, flows int, rules []inspect.Rule) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "mode %s, tc hook %s, %d flows\n", mode, hook, flows)
	for _, rule := range rules {
		fmt.Fprintf(&b, "%s: %s\n", rule.Name, rule)
	}
	return []byte(b.String())
}
