// Package bpftest runs BPF programs in tests.
package bpftest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"testing"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/affinity"
	"github.com/xdp-port/xdp-port/test/packet"
)

// Loopback is the device that a test run's packets come from.
const Loopback = 1

// Inside and Outside are a container and its peer.
var (
	Inside  = netip.MustParseAddr("10.88.0.2")
	Outside = netip.MustParseAddr("10.99.0.2")
)

// NeedRoot skips the test with -short, which runs without root.
func NeedRoot(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root: run without -short")
	}
}

// BPFFS mounts a BPF file system.
func BPFFS(t *testing.T) string {
	t.Helper()
	NeedRoot(t)
	dir := t.TempDir()
	if err := unix.Mount("bpf", dir, "bpf", 0, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// Devices makes devices in a network namespace of the test's own.
func Devices(t *testing.T, indices ...int) {
	t.Helper()
	NeedRoot(t)
	runtime.LockOSThread() // and never unlocks: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	for _, index := range indices {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = fmt.Sprintf("device%d", index), index
		device := &netlink.Veth{LinkAttrs: attrs, PeerName: fmt.Sprintf("peer%d", index)}
		if err := errors.Join(netlink.LinkAdd(device), netlink.LinkSetUp(device)); err != nil {
			t.Fatal(err)
		}
	}
}

// Run runs a program once on a frame.
func Run(t *testing.T, program *ebpf.Program, frame []byte) (uint32, []byte) {
	t.Helper()
	options := ebpf.RunOptions{Data: frame, DataOut: make([]byte, len(frame)+256)}
	result, err := program.Run(&options)
	if err != nil {
		t.Fatal(err)
	}
	return result, options.DataOut
}

// StayOnCPU keeps XDP and tc of a packet on one CPU.
func StayOnCPU(t testing.TB) {
	t.Helper()
	leave, err := affinity.Stay()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(leave)
}

// LetJiffyPass waits until packets are later than those before, by the clock that
// programs have for flows. A busy machine may not move it for long.
func LetJiffyPass(t *testing.T) {
	t.Helper()
	clock, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.FnJiffies64.Call(), asm.Return()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer clock.Close()
	now := func() uint32 {
		jiffies, _ := Run(t, clock, make([]byte, 64))
		return jiffies
	}
	for start := now(); now() == start; {
		time.Sleep(time.Millisecond)
	}
}

// UDP is a datagram.
func UDP(from netip.Addr, fromPort uint16, to netip.Addr, toPort uint16) packet.Packet {
	return packet.Packet{Source: from, Destination: to, Load: packet.UDP{
		Source: fromPort, Destination: toPort, Payload: []byte("payload"),
	}}
}

// MovedTo returns the source port of a packet over IPv4 without options, or IPv6.
func MovedTo(t *testing.T, frame []byte) uint16 {
	t.Helper()
	ports := 14 + 20
	if frame[14]>>4 == 6 {
		ports = 14 + 40
	}
	return binary.BigEndian.Uint16(frame[ports:])
}

// FromNetwork turns a __be16 as it was loaded from memory into a number.
func FromNetwork(port uint16) uint16 {
	bytes := *(*[2]byte)(unsafe.Pointer(&port))
	return uint16(bytes[0])<<8 | uint16(bytes[1])
}
