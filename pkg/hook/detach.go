package hook

import (
	"errors"
	"fmt"
	"os"

	"github.com/xdp-port/xdp-port/pkg/pin"
)

// DetachLink frees the hook at once: unpinning alone would do so some time
// later, and the next ADD might find the slot of XDP busy.
func DetachLink(path string) error {
	l, err := pin.OpenLink(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Detach(); err != nil {
		return fmt.Errorf("%w the link %s: %w", ErrDetach, path, err)
	}
	return nil
}
