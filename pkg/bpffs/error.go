package bpffs

import "errors"

// The kinds of errors of this package.
var (
	// ErrUnusable is the kind of errors about a BPF file system that is missing or
	// refuses an operation.
	ErrUnusable = errors.New("no usable BPF file system")

	// ErrHidden is the kind of errors about a state folder in a file system that
	// another mount hides. A new file system above it would know nothing of the
	// attachments, and new attachments would disappear with it.
	ErrHidden = errors.New("hidden state")

	// ErrUntrusted is the kind of errors about a state folder that another user made.
	// Nothing in it is xdp-port's.
	ErrUntrusted = errors.New("foreign state folder")

	// ErrBusy is the kind of errors about another process that does not finish in
	// time.
	ErrBusy = errors.New("state busy")

	// errOpen is the kind of errors about a state folder of xdp-port that other users
	// can write to.
	errOpen = errors.New("open state folder")
)

// UnusableError is an ErrUnusable with a known fix.
type UnusableError struct {
	Problem, Fix string
	cause        error
}

// Error names the problem and the fix.
func (e *UnusableError) Error() string { return ErrUnusable.Error() + ": " + e.Problem + ": " + e.Fix }

// Unwrap returns ErrUnusable and the cause, if there is one.
func (e *UnusableError) Unwrap() []error {
	if e.cause == nil {
		return []error{ErrUnusable}
	}
	return []error{ErrUnusable, e.cause}
}
