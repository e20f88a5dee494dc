//go:build without_tracing

package datapath

const tracing = false
