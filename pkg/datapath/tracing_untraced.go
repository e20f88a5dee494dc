//go:build untraced

package datapath

const tracing = false
