package hook

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/xdp-port/xdp-port/pkg/kernel"
	"github.com/xdp-port/xdp-port/pkg/pin"
)

// TCHook is how the tc programs are attached.
type TCHook uint32

// The kinds of tc hook.
const (
	// AutoHook is TCX where the kernel has it.
	AutoHook TCHook = iota
	// TCX attaches by bpf_link (Linux 6.6).
	TCX
	// Clsact attaches filters of the clsact qdisc.
	Clsact
)

var tcHookWords = []string{AutoHook: "auto", TCX: "tcx", Clsact: "clsact"}

// String returns the word that the configuration uses.
func (h TCHook) String() string {
	if !h.IsKnown() {
		return "unknown"
	}
	return tcHookWords[h]
}

// IsKnown reports whether the hook is one of this build: a pinned document may have
// another.
func (h TCHook) IsKnown() bool { return int(h) < len(tcHookWords) }

// MarshalText returns the word.
func (h TCHook) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalJSON reads the word, or the number that builds before wrote.
func (h *TCHook) UnmarshalJSON(text []byte) error {
	hook, err := pin.DecodeEnum(text, tcHookWords)
	*h = TCHook(hook)
	return err
}

// Best is TCX, whose programs a link owns, where the kernel has it. Otherwise it is Clsact.
func Best() (TCHook, error) {
	err := kernel.QueryTCX()
	switch {
	case err == nil:
		return TCX, nil
	case errors.Is(err, ebpf.ErrNotSupported):
		return Clsact, nil
	}
	return AutoHook, fmt.Errorf("%w: look for tcx: %w", ErrInspect, err)
}

// Ready returns an error that says what the kernel lacks for the programs, or for
// the hook that is asked for.
func Ready(hook TCHook) error {
	if err := kernel.Ready(); err != nil {
		return err
	}
	if hook == TCX {
		if err := kernel.TCX.Check(); err != nil {
			return fmt.Errorf(`%w: set "tcHook" to "auto" or "clsact"`, err)
		}
	}
	return nil
}
