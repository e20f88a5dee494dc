//go:build !without_tracing

package bpf

// Tracing tells whether the programs can be listened to. The build tag without_tracing
// makes ones that cannot, for the benchmark to compare with.
const Tracing = true
