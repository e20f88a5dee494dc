package main

import (
	"fmt"
	"os"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/printable"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// warnOfForeign warns on stderr and in the log that foreign programs may let packets
// bypass the rules. ADD succeeds all the same, and CHECK fails.
func warnOfForeign(key state.Key, ahead []hook.ForeignTC) {
	// At tcx ADD attaches its own programs first.
	addResult.problems = attachment.OrderProblems(ahead, hook.Clsact)
	for _, problem := range addResult.problems {
		fmt.Fprintf(os.Stderr, "xdp-port: warning: %s\n", printable.Bytes(fmt.Sprintf("%s: %s", key, problem), maxMessage))
	}
}
