package veth

import "errors"

// ErrNetNS is the kind of errors about the container's network namespace: it does
// not exist, it cannot be entered, or it is the host's own.
var ErrNetNS = errors.New("unusable network namespace")

// ErrNoVeth is the kind of errors about an interface without a host side here: it
// does not exist, it is no veth, or its peer is in another namespace.
var ErrNoVeth = errors.New("no host side")

// ErrLookup is the kind of errors about a failed look-up: the kernel does not
// answer, for example because it lacks memory.
var ErrLookup = errors.New("failed look-up of the host side")
