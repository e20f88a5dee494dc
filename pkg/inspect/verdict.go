package inspect

import (
	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/trace"
)

// Verdicts are all verdicts, in the order of output.
var Verdicts = []trace.Verdict{
	trace.Passed, trace.Rewritten, trace.Dropped,
	trace.ReplyRestored, trace.ICMPErrorRestored, trace.Malformed,
}

// VerdictOf returns the verdict on packets that a rule with this action decides.
func VerdictOf(action rules.Action) trace.Verdict {
	switch action {
	case rules.Rewrite:
		return trace.Rewritten
	case rules.Drop:
		return trace.Dropped
	default:
		return trace.Passed
	}
}

// VerdictWords returns the words of all verdicts.
func VerdictWords() []string {
	words := make([]string, len(Verdicts))
	for i, verdict := range Verdicts {
		words[i] = verdict.String()
	}
	return words
}
