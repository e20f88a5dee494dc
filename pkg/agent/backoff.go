package agent

import "time"

// backoff limits how often the agent rewrites a conflist that another installer rewrites too.
// Two installers that both insist would never end, and each write makes the runtime reload.
type backoff struct {
	rewrites []time.Time // within rewriteMemory
}

const (
	// rewriteMemory is how long a rewrite counts.
	rewriteMemory = time.Minute
	// rewriteLimit is how many rewrites are normal: add-ons write several times while they
	// start.
	rewriteLimit = 5
)

// rewritten records that the agent had to write the conflist again.
func (b *backoff) rewritten() { b.rewrites = append(b.rewrites, time.Now()) }

// isActive reports whether to leave the conflist alone for now.
func (b *backoff) isActive() bool {
	for len(b.rewrites) > 0 && time.Since(b.rewrites[0]) > rewriteMemory {
		b.rewrites = b.rewrites[1:]
	}
	return len(b.rewrites) >= rewriteLimit
}
