// Package datapath loads the BPF programs of bpf/ for a ruleset, attaches them
// to the host side of a veth and takes them off again.
//
// It knows nothing of containers, nor of where pins belong: pkg/state does. It
// never replaces or detaches a program that is not its own.
package datapath
