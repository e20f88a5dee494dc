package load

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// senders send small datagrams from a container as fast as they can.
type senders struct {
	sockets []int
	done    atomic.Bool
	sent    atomic.Int64
	running sync.WaitGroup
}

func startSenders(t *testing.T, c *node.Container, address string, port int) *senders {
	t.Helper()
	s := &senders{}
	to := &unix.SockaddrInet4{Port: port, Addr: netip.MustParseAddr(address).As4()}
	for range 2 {
		must(t, c.NS.Do(func(ns.NetNS) error {
			socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			s.sockets = append(s.sockets, socket)
			return unix.Connect(socket, to)
		}))
	}
	for _, socket := range s.sockets {
		s.running.Go(func() { s.send(socket) })
	}
	return s
}

// burst is the number of datagrams in one system call.
const burst = 64

// message is struct mmsghdr of the kernel.
type message struct {
	header unix.Msghdr
	_      uint32 // length, which the kernel fills in
	_      uint32
}

func (s *senders) send(socket int) {
	payload := []byte("a small datagram")
	part := unix.Iovec{Base: &payload[0]}
	part.SetLen(len(payload))
	var messages [burst]message
	for i := range messages {
		messages[i].header.Iov = &part
		messages[i].header.SetIovlen(1)
	}
	for !s.done.Load() {
		count, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(socket), uintptr(unsafe.Pointer(&messages)), burst, 0, 0, 0)
		if errno == 0 {
			s.sent.Add(int64(count))
		}
	}
}

// stop returns the number of sent datagrams.
func (s *senders) stop(t *testing.T) int64 {
	t.Helper()
	s.done.Store(true)
	s.running.Wait()
	for _, socket := range s.sockets {
		must(t, unix.Close(socket))
	}
	return s.sent.Load()
}
