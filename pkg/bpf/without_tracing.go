//go:build without_tracing

package bpf

// Tracing is off in this build.
const Tracing = false
