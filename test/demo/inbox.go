package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// patience limits how long datagrams may take. The first ones wait for neighbour
// discovery, which the kernel repeats after a second.
var patience = pace.Patience(10 * time.Second)

// inbox listens on several ports and reports which of them datagrams arrive at.
type inbox struct {
	ports    []int
	conns    []*net.UDPConn
	arrivals chan int // ports
}

func listen(in ns.NetNS, ports ...int) (*inbox, error) {
	box := &inbox{ports: ports, arrivals: make(chan int, 100)}
	for _, port := range ports {
		conn, err := node.ListenUDP(in, port)
		if err != nil {
			return nil, errors.Join(err, box.Close())
		}
		box.conns = append(box.conns, conn)
		go box.watch(conn, port)
	}
	return box, nil
}

func (b *inbox) watch(conn *net.UDPConn, port int) {
	buffer := make([]byte, 1<<16)
	for {
		if _, _, err := conn.ReadFromUDP(buffer); err != nil {
			return
		}
		b.arrivals <- port
	}
}

// Close closes the sockets.
func (b *inbox) Close() error {
	var errs []error
	for _, conn := range b.conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// expect sends count datagrams and returns how many arrived at each port.
func (b *inbox) expect(from ns.NetNS, to netip.AddrPort, count int) (string, error) {
	conn, err := node.DialUDP(from, to)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	for i := range count {
		if _, err := fmt.Fprintf(conn, "datagram %d", i); err != nil {
			return "", err
		}
	}
	arrived := map[int]int{}
	timeout := time.After(patience)
	for range count {
		select {
		case port := <-b.arrivals:
			arrived[port]++
		case <-timeout:
			return b.summary(arrived), nil
		}
	}
	return b.summary(arrived), nil
}

func (b *inbox) summary(arrived map[int]int) string {
	var parts []string
	for _, port := range b.ports {
		if arrived[port] > 0 {
			parts = append(parts, fmt.Sprintf("port %d: %d", port, arrived[port]))
		}
	}
	if len(parts) == 0 {
		return "no port"
	}
	return strings.Join(parts, ", ")
}
