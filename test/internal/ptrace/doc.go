// Package ptrace runs a command and stops it at each system call of any of its
// threads, to look at it, to have it fail, or to kill the process right there.
// Other than the fault injection of strace(1), which counts the calls of each
// thread apart, it sees those of a Go program, which wander between threads, in
// one order.
//
// It knows the registers of x86-64 and arm64.
package ptrace
