// Package ptrace runs a command and stops it at each system call of each of its
// threads. The caller can then look at the call, make it fail, or kill the process.
// Fault injection of strace(1) counts the calls of each thread separately. The calls
// of a Go program move between threads, so this package counts them in one order.
//
// It knows the registers of x86-64 and arm64.
package ptrace
