package main

import (
	"fmt"
	"os"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/hook"
	"github.com/xdp-port/xdp-port/pkg/printable"
	"github.com/xdp-port/xdp-port/pkg/state"
)

// warnOfForeign says on stderr, and has the log tell, that ADD succeeded but
// packets may pass rules by. CHECK fails then.
func warnOfForeign(key state.Key, ahead []hook.ForeignTC) {
	// At tcx ADD puts ours first.
	made.problems = attachment.OrderProblems(ahead, hook.Clsact)
	for _, problem := range made.problems {
		fmt.Fprintf(os.Stderr, "xdp-port: warning: %s\n", printable.Bytes(fmt.Sprintf("%s: %s", key, problem), maxMessage))
	}
}
