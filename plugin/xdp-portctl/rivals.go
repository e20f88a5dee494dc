package main

import "time"

// rivals bounds a quarrel with another installer that also puts its own version
// of the conflist back whenever that changes: istio's and others' went on like
// that without end, and had the runtime reload each time.
type rivals struct {
	rewrites []time.Time // within memory
}

const (
	// rivalMemory is how long a rewriting counts, rivalLimit how many do no harm:
	// add-ons write several times while they start.
	rivalMemory = time.Minute
	rivalLimit  = 5
)

func (r *rivals) note() { r.rewrites = append(r.rewrites, time.Now()) }

// tooMany tells to leave the conflist alone for now.
func (r *rivals) tooMany() bool {
	for len(r.rewrites) > 0 && time.Since(r.rewrites[0]) > rivalMemory {
		r.rewrites = r.rewrites[1:]
	}
	return len(r.rewrites) >= rivalLimit
}
