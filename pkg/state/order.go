package state

import (
	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/hook"
)

// Ahead returns the foreign tc programs that the last Attach found ahead of the
// attachment's own, and that may end the chain.
func (s *Store) Ahead() []hook.ForeignTC { return s.ahead }

// lookAhead asks who is ahead of what is attached already. It tells whether that
// is to be attached anew, which puts it first. Nobody is ahead of what is not
// attached yet; vet looks at that.
//
// Returns a *attachment.BypassError if a rule cannot be enforced.
func (s *Store) lookAhead(existing []published, wanted Wanted) (isBehind bool, err error) {
	s.ahead = nil
	for _, a := range existing {
		ahead, err := a.folder.Ahead(a.ruleset, wanted.Ruleset.Hooks())
		if err != nil || len(ahead) == 0 {
			continue // what is damaged is made anew
		}
		s.ahead = append(s.ahead, ahead...)
		if a.folder.CanBeFirst(wanted.Hook, ahead) {
			return true, nil
		}
	}
	return false, attachment.Enforce(wanted.Ruleset, s.ahead)
}

// vet asks who is ahead of programs that have just been attached for the ruleset.
// At tcx nobody is: they were put at the head.
//
// Returns a *attachment.BypassError if a rule cannot be enforced.
func (s *Store) vet(record *attachment.Record, folder attachment.Folder, ruleset datapath.Dir, rs *datapath.Ruleset) (err error) {
	s.ahead = nil
	if rs == nil || record.Hook == hook.TCX {
		return nil
	}
	if s.ahead, err = record.Ahead(folder, ruleset, rs.Hooks()); err != nil {
		return err
	}
	return attachment.Enforce(rs, s.ahead)
}
