package veth

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// OwnNetNS identifies the caller's network namespace, the host's, by its inode.
// Returns an error wrapping ErrUnknown.
func OwnNetNS() (uint64, error) {
	var stat unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &stat); err != nil {
		return 0, fmt.Errorf("%w: look at the host's network namespace: %w", ErrUnknown, err)
	}
	return stat.Ino, nil
}
