// Package hook attaches programs to the host side of a veth and detaches them, by
// XDP, tcx or clsact, and reports which other programs are there.
//
// It never replaces or detaches a program that is not its own.
package hook
