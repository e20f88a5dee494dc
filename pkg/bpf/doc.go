// Package bpf has the compiled BPF programs of bpf/, the Go types of what their maps
// hold, and the names of their programs, maps and variables.
//
// Its identifiers with the prefix Programs are generated (make generate).
package bpf
