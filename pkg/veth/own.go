package veth

import (
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// NetNS identifies a network namespace.
//
// The inode alone does not: a namespace that is made when another one is gone
// can get its number. The cookie is given once while the machine runs.
type NetNS struct {
	Inode uint64 `json:"inode"`
	// Cookie is 0 where the kernel has none (before Linux 5.14).
	Cookie uint64 `json:"cookie,omitempty"`
}

// Is tells whether both are the same namespace, as far as is known of them.
func (n NetNS) Is(other NetNS) bool {
	return n.Inode == other.Inode && (n.Cookie == other.Cookie || n.Cookie == 0 || other.Cookie == 0)
}

// IsSucceededBy tells whether other is a namespace that has the number of this
// one, which is gone, therefore.
func (n NetNS) IsSucceededBy(other NetNS) bool {
	return n.Inode == other.Inode && !n.Is(other)
}

// UnmarshalJSON also reads what was written before there were cookies: the inode
// alone.
func (n *NetNS) UnmarshalJSON(text []byte) error {
	var inode uint64
	if json.Unmarshal(text, &inode) == nil {
		*n = NetNS{Inode: inode}
		return nil
	}
	type plain NetNS
	return json.Unmarshal(text, (*plain)(n))
}

// OwnNetNS identifies the caller's network namespace, the host's. Returns an
// error wrapping ErrUnknown.
func OwnNetNS() (NetNS, error) {
	const path = "/proc/thread-self/ns/net"
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return NetNS{}, fmt.Errorf("%w: look at the host's network namespace, %s: %w", ErrUnknown, path, err)
	}
	cookie, err := ownCookie()
	if err != nil {
		return NetNS{}, fmt.Errorf("%w: ask for the cookie of the host's network namespace: %w", ErrUnknown, err)
	}
	return NetNS{Inode: stat.Ino, Cookie: cookie}, nil
}

// ownCookie returns 0 where the kernel has none.
func ownCookie() (uint64, error) {
	socket, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(socket)
	cookie, err := unix.GetsockoptUint64(socket, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if errors.Is(err, unix.ENOPROTOOPT) {
		return 0, nil
	}
	return cookie, err
}
