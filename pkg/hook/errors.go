package hook

import "errors"

// ErrAttach is returned when the kernel refused to attach a program. The
// message has the fix, as far as the kernel's answer tells it.
var ErrAttach = errors.New("the kernel refused to attach")

// ErrDetach is returned when the kernel refused to take a program off. The
// message says which.
var ErrDetach = errors.New("the kernel refused to detach")

// ErrInspect is returned when the kernel does not say what is on a device.
var ErrInspect = errors.New("the kernel cannot be asked")
