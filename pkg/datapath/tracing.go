//go:build !without_tracing

package datapath

// tracing tells whether the programs can be listened to. The build tag without_tracing
// makes ones that cannot, for the benchmark to compare with.
const tracing = true
