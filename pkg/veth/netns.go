package veth

import (
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// NetNS identifies a network namespace.
//
// The inode alone does not: a new namespace can get the inode number of a deleted
// one. The kernel gives out each cookie once per boot.
type NetNS struct {
	Inode uint64 `json:"inode"`
	// Cookie is 0 on kernels without cookies (before Linux 5.14).
	Cookie uint64 `json:"cookie,omitempty"`
}

// Is reports whether both identify the same namespace. A missing cookie matches
// every cookie.
func (n NetNS) Is(other NetNS) bool {
	return n.Inode == other.Inode && (n.Cookie == other.Cookie || n.Cookie == 0 || other.Cookie == 0)
}

// IsSucceededBy reports whether other is a newer namespace with the same inode
// number. The older namespace no longer exists then.
func (n NetNS) IsSucceededBy(other NetNS) bool {
	return n.Inode == other.Inode && !n.Is(other)
}

// UnmarshalJSON also reads the format of earlier versions, which is the inode alone.
func (n *NetNS) UnmarshalJSON(text []byte) error {
	var inode uint64
	if json.Unmarshal(text, &inode) == nil {
		*n = NetNS{Inode: inode}
		return nil
	}
	type plain NetNS
	return json.Unmarshal(text, (*plain)(n))
}

// OwnNetNS identifies the caller's network namespace, which is the host's. Its
// errors wrap ErrLookup.
func OwnNetNS() (NetNS, error) {
	const path = "/proc/thread-self/ns/net"
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return NetNS{}, fmt.Errorf("%w: stat the host's network namespace, %s: %w", ErrLookup, path, err)
	}
	cookie, err := ownCookie()
	if err != nil {
		return NetNS{}, fmt.Errorf("%w: read the cookie of the host's network namespace: %w", ErrLookup, err)
	}
	return NetNS{Inode: stat.Ino, Cookie: cookie}, nil
}

// ownCookie returns 0 on a kernel without cookies.
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
