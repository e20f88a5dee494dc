//go:build linux && (amd64 || arm64)

package crash

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// wire receives the IPv4 datagrams that arrive at a device, in order and for any port.
type wire struct{ socket int }

// tap listens at a device. It ignores packets that leave through the device.
func tap(in ns.NetNS, device string) (w wire, err error) {
	err = in.Do(func(ns.NetNS) error {
		link, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		w.socket, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		patience := unix.NsecToTimeval(int64(100 * time.Millisecond))
		return errors.Join(
			unix.SetsockoptTimeval(w.socket, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &patience),
			unix.SetsockoptInt(w.socket, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1),
			unix.Bind(w.socket, &unix.SockaddrLinklayer{
				Protocol: binary.NativeEndian.Uint16([]byte{unix.ETH_P_IP >> 8, unix.ETH_P_IP & 0xff}),
				Ifindex:  link.Attrs().Index,
			}),
		)
	})
	return w, err
}

func (w wire) Close() error { return unix.Close(w.socket) }

// forget discards datagrams that have already arrived.
func (w wire) forget() {
	for {
		if _, _, err := unix.Recvfrom(w.socket, nil, unix.MSG_DONTWAIT|unix.MSG_TRUNC); err != nil {
			return
		}
	}
}

// datagram is a UDP datagram over IPv4.
type datagram struct {
	source, destination int
	payload             string
}

// errQuiet is the error if no datagram arrives for a while.
var errQuiet = errors.New("nothing came")

// hear returns the next datagram.
func (w wire) hear() (datagram, error) {
	for deadline := time.Now().Add(pace.Patience(2 * time.Second)); time.Now().Before(deadline); {
		var packet [2048]byte
		n, err := unix.Read(w.socket, packet[:])
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return datagram{}, fmt.Errorf("listen to the wire: %w", err)
		}
		if d, ok := parse(packet[:n]); ok {
			return d, nil
		}
	}
	return datagram{}, errQuiet
}

func parse(packet []byte) (d datagram, ok bool) {
	if len(packet) < 28 || packet[9] != unix.IPPROTO_UDP {
		return d, false
	}
	udp := packet[int(packet[0]&0xf)*4:]
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if length < 8 || length > len(udp) {
		return d, false
	}
	return datagram{
		source:      int(binary.BigEndian.Uint16(udp)),
		destination: int(binary.BigEndian.Uint16(udp[2:])),
		payload:     string(udp[8:length]),
	}, true
}

// mouths are the sending sockets of one host, by port.
type mouths struct {
	in   ns.NetNS
	open map[int]*net.UDPConn
}

// newMouths opens sockets on demand. The test closes them.
func newMouths(t testing.TB, in ns.NetNS) *mouths {
	m := &mouths{in, map[int]*net.UDPConn{}}
	t.Cleanup(func() {
		for _, conn := range m.open {
			conn.Close()
		}
	})
	return m
}

// say sends a datagram.
func (m *mouths) say(from int, to net.UDPAddr, payload string) error {
	conn, err := m.at(from)
	if err != nil {
		return err
	}
	_, err = conn.WriteToUDP([]byte(payload), &to)
	return err
}

func (m *mouths) at(port int) (*net.UDPConn, error) {
	if conn := m.open[port]; conn != nil {
		return conn, nil
	}
	conn, err := node.ListenUDP(m.in, port)
	if err == nil {
		m.open[port] = conn
	}
	return conn, err
}
