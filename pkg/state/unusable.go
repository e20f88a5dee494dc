package state

// UnusableError says why a BPF file system cannot keep the state, and what to do.
// It wraps ErrBPFFS.
type UnusableError struct {
	Problem, Fix string
	cause        error
}

func (e *UnusableError) Error() string { return ErrBPFFS.Error() + ": " + e.Problem + ": " + e.Fix }

func (e *UnusableError) Unwrap() []error {
	if e.cause == nil {
		return []error{ErrBPFFS}
	}
	return []error{ErrBPFFS, e.cause}
}
