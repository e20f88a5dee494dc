package trace

// What the tests of this package, which are in trace_test, see of it.
const (
	ListenFor  = listenFor
	RenewEvery = renewEvery
)

// ListeningUntil returns until when a listener of the ruleset pinned in dir has said
// it listens; 0 for none.
func ListeningUntil(dir string) (uint64, error) {
	c, err := openControl(dir)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	return c.shared.Until, nil
}

// Expire has the listener's time be over.
func (l *Listener) Expire() { l.control.shared.Until = 1 }

// IsLive tells whether the listener still has the trace.
func (l *Listener) IsLive() bool { return l.control.holds() && l.leaseErr.Load() == nil }
