//go:build !untraced

package datapath

// tracing tells whether the programs can be listened to. The build tag untraced
// makes ones that cannot, for the benchmark to compare with.
const tracing = true
