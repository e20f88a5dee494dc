// Package traffic makes and counts packets faster than the system under test: real UDP sockets send
// small datagrams with sendmmsg from one pinned core, and a BPF program counts them where they
// arrive.
package traffic

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"
)

// payloadSize fills the smallest Ethernet frame, 60 bytes without its checksum.
const payloadSize = 18

// sprayBurst is the number of datagrams that a Spray sends in one system call.
const sprayBurst = 64

// mmsghdr is struct mmsghdr of sendmmsg(2).
type mmsghdr struct {
	header unix.Msghdr
	sent   uint32
	_      uint32
}

// Sender sends datagrams of one flow.
type Sender struct {
	socket   int
	messages []mmsghdr
}

// NewSender opens a connected socket in a namespace. One system call sends burst datagrams.
func NewSender(in ns.NetNS, to netip.AddrPort, burst int) (*Sender, error) {
	socket, err := openSocket(in, to.Addr().Is6(), 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Connect(socket, socketAddress(to)); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to %s: %w", to, err), unix.Close(socket))
	}
	return &Sender{socket: socket, messages: newMessages(burst)}, nil
}

// Send sends count datagrams.
func (s *Sender) Send(count int) error {
	for left := count; left > 0; {
		sent, err := sendmmsg(s.socket, s.messages[:min(left, len(s.messages))])
		if err != nil {
			return err
		}
		left -= sent
	}
	return nil
}

// Close closes the socket.
func (s *Sender) Close() error { return unix.Close(s.socket) }

// Spray sends each datagram as the first of a new flow, from many ports of the container to many
// addresses.
type Spray struct {
	sockets  []int
	messages []mmsghdr // one for each address
	next     int       // the flow that comes next
}

// NewSpray opens a socket for each source port from first on, and sends to the given addresses, all of
// one family. The number of flows is the product of both.
func NewSpray(in ns.NetNS, first uint16, ports int, to []netip.Addr, port uint16) (*Spray, error) {
	s := &Spray{messages: newMessages(len(to))}
	for i, address := range to {
		s.messages[i].setDestination(netip.AddrPortFrom(address, port))
	}
	for i := range ports {
		socket, err := openSocket(in, to[0].Is6(), int(first)+i)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.sockets = append(s.sockets, socket)
	}
	return s, nil
}

// Flows is the number of datagrams before a flow repeats.
func (s *Spray) Flows() int { return len(s.sockets) * len(s.messages) }

// Send sends count datagrams, each of a new flow.
func (s *Spray) Send(count int) error {
	if s.next+count > s.Flows() {
		return fmt.Errorf("there are no %d flows left of %d", count, s.Flows())
	}
	for last := s.next + count; s.next < last; {
		socket, address := s.next/len(s.messages), s.next%len(s.messages)
		upTo := min(len(s.messages), address+min(sprayBurst, last-s.next))
		sent, err := sendmmsg(s.sockets[socket], s.messages[address:upTo])
		if err != nil {
			return err
		}
		s.next += sent
	}
	return nil
}

// Close closes the sockets.
func (s *Spray) Close() error {
	var errs []error
	for _, socket := range s.sockets {
		errs = append(errs, unix.Close(socket))
	}
	return errors.Join(errs...)
}

// openSocket opens a UDP socket in a namespace, on a port if that is not 0.
func openSocket(in ns.NetNS, ipv6 bool, port int) (socket int, err error) {
	family, anywhere := unix.AF_INET, netip.IPv4Unspecified()
	if ipv6 {
		family, anywhere = unix.AF_INET6, netip.IPv6Unspecified()
	}
	err = in.Do(func(ns.NetNS) error {
		socket, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("open a socket: %w", err)
		}
		if err := unix.Bind(socket, socketAddress(netip.AddrPortFrom(anywhere, uint16(port)))); err != nil {
			return errors.Join(fmt.Errorf("bind a socket to port %d: %w", port, err), unix.Close(socket))
		}
		return nil
	})
	return socket, err
}

func socketAddress(of netip.AddrPort) unix.Sockaddr {
	if of.Addr().Is6() {
		return &unix.SockaddrInet6{Addr: of.Addr().As16(), Port: int(of.Port())}
	}
	return &unix.SockaddrInet4{Addr: of.Addr().As4(), Port: int(of.Port())}
}

// setDestination sets the destination of a message on a socket that is not connected.
func (m *mmsghdr) setDestination(to netip.AddrPort) {
	if to.Addr().Is6() {
		address := &unix.RawSockaddrInet6{Family: unix.AF_INET6, Port: bigEndian(to.Port()), Addr: to.Addr().As16()}
		m.header.Name, m.header.Namelen = (*byte)(unsafe.Pointer(address)), unix.SizeofSockaddrInet6
		return
	}
	address := &unix.RawSockaddrInet4{Family: unix.AF_INET, Port: bigEndian(to.Port()), Addr: to.Addr().As4()}
	m.header.Name, m.header.Namelen = (*byte)(unsafe.Pointer(address)), unix.SizeofSockaddrInet4
}

func newMessages(count int) []mmsghdr {
	payload := make([]byte, payloadSize)
	vector := &unix.Iovec{Base: &payload[0]}
	vector.SetLen(len(payload))
	messages := make([]mmsghdr, count)
	for i := range messages {
		messages[i].header.Iov = vector
		messages[i].header.SetIovlen(1)
	}
	return messages
}

func sendmmsg(socket int, messages []mmsghdr) (int, error) {
	for {
		sent, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(socket),
			uintptr(unsafe.Pointer(&messages[0])), uintptr(len(messages)), 0, 0, 0)
		switch errno {
		case 0:
			return int(sent), nil
		case unix.EINTR, unix.ECONNREFUSED:
		default:
			return 0, fmt.Errorf("send: %w", errno)
		}
	}
}

// bigEndian returns a number that has the bytes of the port on the wire in memory.
func bigEndian(port uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, port))
}
