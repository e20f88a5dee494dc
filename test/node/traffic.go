package node

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/pace"
)

// ioTimeout limits every wait for a packet.
var ioTimeout = pace.Patience(5 * time.Second)

// UDPEcho sends every datagram to the port, of either IP version, back to its sender
// until it is closed.
func UDPEcho(in ns.NetNS, port int) (io.Closer, error) {
	conn, err := ListenUDP(in, port)
	if err != nil {
		return nil, err
	}
	go func() {
		buffer := make([]byte, 1<<16)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buffer)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = conn.WriteToUDPAddrPort(buffer[:n], from)
			}
		}
	}()
	return conn, nil
}

// ListenUDP opens a socket for a port in a namespace.
func ListenUDP(in ns.NetNS, port int) (conn *net.UDPConn, err error) {
	err = in.Do(func(ns.NetNS) error {
		conn, err = net.ListenUDP("udp", &net.UDPAddr{Port: port})
		return err
	})
	return conn, err
}

// DialUDP opens a connected socket in a namespace.
func DialUDP(in ns.NetNS, to netip.AddrPort) (conn *net.UDPConn, err error) {
	err = in.Do(func(ns.NetNS) error {
		conn, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
		return err
	})
	return conn, err
}

// ExchangeUDP sends datagrams of the given sizes from one connected socket, one by
// one, and expects each to come back unchanged.
func ExchangeUDP(from ns.NetNS, to netip.AddrPort, sizes []int) error {
	conn, err := DialUDP(from, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	answer := make([]byte, 1<<16)
	for i, size := range sizes {
		question := Payload(size, uint64(i))
		if _, err := conn.Write(question); err != nil {
			return fmt.Errorf("send datagram %d of %d bytes: %w", i, size, err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(ioTimeout)); err != nil {
			return err
		}
		n, err := conn.Read(answer)
		if err != nil {
			return fmt.Errorf("no answer to datagram %d of %d bytes: %w", i, size, err)
		}
		if !bytes.Equal(answer[:n], question) {
			return fmt.Errorf("the answer to datagram %d of %d bytes is another one, of %d bytes", i, size, n)
		}
	}
	return nil
}

// Sizes returns count sizes, evenly spaced from least to most.
func Sizes(count, least, most int) []int {
	sizes := make([]int, count)
	for i := range sizes {
		sizes[i] = least + i*(most-least)/max(1, count-1)
	}
	return sizes
}

// Payload returns size random bytes, the same for the same seed.
func Payload(size int, seed uint64) []byte {
	payload := make([]byte, size)
	var key [32]byte
	copy(key[:], strconv.FormatUint(seed, 10))
	_, _ = rand.NewChaCha8(key).Read(payload)
	return payload
}

// TCPEcho sends all bytes of each connection to the port back, until it is closed.
func TCPEcho(in ns.NetNS, port int) (io.Closer, error) {
	return serveTCP(in, port, func(conn *net.TCPConn) {
		_, _ = io.Copy(conn, conn)
	})
}

// TCPHash answers each connection with the SHA-256 of its bytes, once the sender has
// finished.
func TCPHash(in ns.NetNS, port int) (io.Closer, error) {
	return serveTCP(in, port, func(conn *net.TCPConn) {
		hash := sha256.New()
		if _, err := io.Copy(hash, conn); err == nil {
			_, _ = conn.Write(hash.Sum(nil))
		}
	})
}

func serveTCP(in ns.NetNS, port int, serve func(*net.TCPConn)) (io.Closer, error) {
	var listener *net.TCPListener
	err := in.Do(func(ns.NetNS) (err error) {
		listener, err = net.ListenTCP("tcp", &net.TCPAddr{Port: port})
		return err
	})
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.AcceptTCP()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				go func() { defer conn.Close(); serve(conn) }()
			}
		}
	}()
	return listener, nil
}

// DialTCP connects from a namespace.
func DialTCP(from ns.NetNS, to netip.AddrPort) (*net.TCPConn, error) {
	return DialTCPWithin(from, to, ioTimeout)
}

// DialTCPWithin is DialTCP for callers that expect no answer.
func DialTCPWithin(from ns.NetNS, to netip.AddrPort, timeout time.Duration) (conn *net.TCPConn, err error) {
	err = from.Do(func(ns.NetNS) error {
		dialled, err := (&net.Dialer{Timeout: timeout}).Dial("tcp", to.String())
		if err == nil {
			conn = dialled.(*net.TCPConn)
		}
		return err
	})
	return conn, err
}

// ConnectTCP makes connections one after the other. Each sends a few bytes to a
// TCPEcho and expects them back.
func ConnectTCP(from ns.NetNS, to netip.AddrPort, connections int) error {
	for i := range connections {
		if err := pingTCP(from, to, Payload(1+i%1460, uint64(i))); err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return nil
}

func pingTCP(from ns.NetNS, to netip.AddrPort, question []byte) error {
	conn, err := DialTCP(from, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(ioTimeout)); err != nil {
		return err
	}
	// Without TIME-WAIT: a thousand of them would exhaust the ports.
	if err := conn.SetLinger(0); err != nil {
		return err
	}
	if _, err := conn.Write(question); err != nil {
		return err
	}
	answer := make([]byte, len(question))
	if _, err := io.ReadFull(conn, answer); err != nil {
		return err
	}
	if !bytes.Equal(answer, question) {
		return errors.New("the answer is not the question")
	}
	return nil
}

// bulkTimeout limits a bulk transfer.
var bulkTimeout = pace.Patience(2 * time.Minute)

// SendTCP sends size bytes to a TCPHash and compares the hash.
func SendTCP(from ns.NetNS, to netip.AddrPort, size int64) error {
	conn, err := DialTCP(from, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(bulkTimeout)); err != nil {
		return err
	}
	hash := sha256.New()
	if _, err := io.Copy(io.MultiWriter(conn, hash), noise(size)); err != nil {
		return fmt.Errorf("send %d bytes: %w", size, err)
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	return wantHash(conn, hash.Sum(nil))
}

// noise returns a reader of size random bytes.
func noise(size int64) io.Reader {
	return io.LimitReader(rand.NewChaCha8([32]byte{}), size)
}

func wantHash(from io.Reader, want []byte) error {
	got, err := io.ReadAll(from)
	if err != nil {
		return fmt.Errorf("read the hash: %w", err)
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("what arrived has the hash %x, what was sent %x", got, want)
	}
	return nil
}

// ExchangeTCP sends size bytes to a TCPEcho while it reads them back, and compares
// the hashes.
func ExchangeTCP(from ns.NetNS, to netip.AddrPort, size int64) error {
	conn, err := DialTCP(from, to)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(bulkTimeout)); err != nil {
		return err
	}
	sent, sending := sha256.New(), make(chan error, 1)
	go func() {
		_, err := io.Copy(io.MultiWriter(conn, sent), noise(size))
		sending <- errors.Join(err, conn.CloseWrite())
	}()
	got := sha256.New()
	n, err := io.Copy(got, conn)
	if err := errors.Join(err, <-sending); err != nil {
		return fmt.Errorf("exchange %d bytes: %w", size, err)
	}
	if n != size || !bytes.Equal(got.Sum(nil), sent.Sum(nil)) {
		return fmt.Errorf("%d bytes of %d came back, or others", n, size)
	}
	return nil
}

// UDPName answers every datagram to the port with the port's number.
func UDPName(in ns.NetNS, port int) (io.Closer, error) {
	conn, err := ListenUDP(in, port)
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			_, from, err := conn.ReadFromUDPAddrPort(make([]byte, 1500))
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = fmt.Fprint(&addressed{conn, from}, port)
			}
		}
	}()
	return conn, nil
}

// addressed writes datagrams to one address.
type addressed struct {
	conn *net.UDPConn
	to   netip.AddrPort
}

func (a *addressed) Write(b []byte) (int, error) { return a.conn.WriteToUDPAddrPort(b, a.to) }
