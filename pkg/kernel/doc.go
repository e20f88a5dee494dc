// Package kernel tells what the running kernel can do: features, the layout of its
// packet buffers, PREEMPT_RT, and the privileges of this process.
package kernel
