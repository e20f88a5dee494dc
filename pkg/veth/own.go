package veth

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// OwnNetNS identifies the caller's network namespace, the host's, by its inode.
// Returns an error wrapping ErrUnknown.
func OwnNetNS() (uint64, error) {
	const path = "/proc/thread-self/ns/net"
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return 0, fmt.Errorf("%w: look at the host's network namespace, %s: %w", ErrUnknown, path, err)
	}
	return stat.Ino, nil
}
