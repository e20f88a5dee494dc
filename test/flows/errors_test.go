package flows

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/pace"
)

// TestPortUnreachable sends from two sockets with the same source port to ports without
// a listener. Each socket must get an error, including the one with a translated source
// port.
func TestPortUnreachable(t *testing.T) {
	inEachWay(t, func(t *testing.T, _ *world, way ends) {
		for _, port := range []uint16{asked, target} {
			conn, err := way.dial("udp", 23000, port)
			must(t, err)
			defer conn.Close()
			_, err = conn.Write([]byte("anybody there?"))
			must(t, err)
			must(t, conn.SetReadDeadline(time.Now().Add(patience)))
			if _, err = conn.Read(make([]byte, 100)); !errors.Is(err, unix.ECONNREFUSED) {
				t.Errorf("to port %d: %v, want ECONNREFUSED", port, err)
			}
		}
	})
}

const smallMTU = 1300

// TestPacketTooBig puts a hop with a smaller MTU on the path. Of two sockets with the
// same source port, the one with the translated source port must learn the path MTU.
func TestPacketTooBig(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			w := newWorld(t, mode, nil)
			must(t, w.SetMTU(smallMTU))
			for _, name := range []string{"egress IPv4", "egress IPv6"} {
				t.Run(name, func(t *testing.T) {
					way := w.ways()[name]
					way.echo(t, target)
					first, err := way.dial("udp", 23001, asked)
					must(t, err)
					defer first.Close()
					must(t, talk(first, "I was here first"))
					wantLearned(t, way, target)
				})
			}
		})
	}
}

// wantLearned sends oversized datagrams with "don't fragment" until the kernel rejects
// them.
func wantLearned(t *testing.T, way ends, port uint16) {
	t.Helper()
	conn, err := way.dial("udp", 23001, port)
	must(t, err)
	t.Cleanup(func() { conn.Close() })
	must(t, talk(conn, "hello"))
	raw, err := conn.(*net.UDPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		if way.address.Is4() {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO)
		} else {
			err = unix.SetsockoptInt(int(fd), unix.IPPROTO_IPV6, unix.IPV6_MTU_DISCOVER, unix.IPV6_PMTUDISC_DO)
		}
	}))
	must(t, err)
	for deadline := time.Now().Add(pace.Patience(2 * time.Second)); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if _, err := conn.Write(make([]byte, 1400)); errors.Is(err, unix.EMSGSIZE) {
			return
		}
	}
	t.Errorf("the sender to port %d never learned the path's MTU", port)
}
