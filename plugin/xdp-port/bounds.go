package main

import (
	"github.com/containernetworking/cni/pkg/types"

	"github.com/xdp-port/xdp-port/pkg/printable"
)

// The bounds of an error's message, and of message and details together, in bytes. Runtimes
// store it in an event, and repeat it with each retry.
const (
	maxMessage = 5 << 10
	maxError   = 6 << 10
)

// bounded returns an error that is short and printable, whatever names and untrusted texts
// it quotes.
func bounded(e *types.Error) *types.Error {
	msg := printable.Bytes(e.Msg, maxMessage)
	return types.NewError(e.Code, msg, printable.CutBytes(printable.Lines(e.Details), maxError-len(msg)))
}
