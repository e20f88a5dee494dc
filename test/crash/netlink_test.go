//go:build linux && (amd64 || arm64)

package crash

import (
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"
)

// refuse turns the netlink message in a process's memory into the answer that the
// request failed, and returns its length.
func refuse(memory *os.File, at int64, errno unix.Errno) int64 {
	const length = unix.SizeofNlMsghdr + unix.SizeofNlMsgerr
	var message [length]byte
	if _, err := memory.ReadAt(message[:unix.SizeofNlMsghdr], at); err != nil {
		panic(err)
	}
	header := message[:unix.SizeofNlMsghdr]
	failure := message[unix.SizeofNlMsghdr:]
	binary.NativeEndian.PutUint32(failure, uint32(-int32(errno)))
	copy(failure[4:], header) // the request, of which only the number matters; the answer has the same
	binary.NativeEndian.PutUint32(header, length)
	binary.NativeEndian.PutUint16(header[4:], unix.NLMSG_ERROR)
	binary.NativeEndian.PutUint16(header[6:], 0)
	if _, err := memory.WriteAt(message[:], at); err != nil {
		panic(err)
	}
	return length
}
