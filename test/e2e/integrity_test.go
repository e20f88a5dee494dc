package e2e

import (
	"fmt"
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/safchain/ethtool"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// checksumErrors returns how many packets a namespace has dropped because of their checksum, by
// the kernel's name for the counter.
func checksumErrors(t *testing.T, in ns.NetNS) map[string]int {
	t.Helper()
	errors := map[string]int{}
	must(t, in.Do(func(ns.NetNS) error {
		snmp, err := os.ReadFile("/proc/thread-self/net/snmp")
		if err != nil {
			return err
		}
		snmp6, err := os.ReadFile("/proc/thread-self/net/snmp6")
		if err != nil {
			return err
		}
		addPairs(errors, string(snmp6))
		addRows(errors, string(snmp))
		return nil
	}))
	if len(errors) < 3 { // for TCP, UDP and UDP over IPv6
		t.Fatalf("only the counters %v were found", errors)
	}
	return errors
}

// addPairs reads lines with a name and a number.
func addPairs(errors map[string]int, text string) {
	for line := range strings.Lines(text) {
		if fields := strings.Fields(line); len(fields) == 2 && isChecksumError(fields[0]) {
			errors[fields[0]], _ = strconv.Atoi(fields[1])
		}
	}
}

// addRows reads pairs of lines: the names of a protocol's counters, and the numbers.
func addRows(errors map[string]int, text string) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, numbers := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for at, name := range names {
			if name = strings.TrimSuffix(names[0], ":") + name; isChecksumError(name) {
				errors[name], _ = strconv.Atoi(numbers[at])
			}
		}
	}
}

func isChecksumError(name string) bool {
	return strings.HasSuffix(name, "InCsumErrors") && (strings.HasPrefix(name, "Tcp") || strings.HasPrefix(name, "Udp"))
}

// wantNoChecksumErrors runs the test and expects no packet to be dropped because of its checksum.
func wantNoChecksumErrors(t *testing.T, in ns.NetNS, test func()) {
	t.Helper()
	before := checksumErrors(t, in)
	test()
	if after := checksumErrors(t, in); !maps.Equal(after, before) {
		t.Errorf("checksum errors were %v and are %v", before, after)
	}
}

// inbox counts the datagrams that reach a port, and those with a payload that numbered did not
// make.
type inbox struct {
	mutex         sync.Mutex
	whole, broken int
}

func openInbox(t *testing.T, in ns.NetNS, port int) *inbox {
	t.Helper()
	conn, err := node.ListenUDP(in, port)
	must(t, err)
	must(t, conn.SetReadBuffer(1<<20))
	t.Cleanup(func() { conn.Close() })
	box := &inbox{}
	go func() {
		for buffer := make([]byte, 1<<16); ; {
			n, err := conn.Read(buffer)
			if err != nil {
				return
			}
			box.put(buffer[:n])
		}
	}()
	return box
}

func (b *inbox) put(payload []byte) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	text, _, _ := strings.Cut(string(payload), " ")
	if number, err := strconv.Atoi(text); err == nil && string(payload) == string(numbered(number)) {
		b.whole++
	} else {
		b.broken++
	}
}

// numbered is the payload of a datagram, of up to 700 bytes.
func numbered(i int) []byte {
	return fmt.Appendf(nil, "%d %x", i, node.Payload(i*37%350, uint64(i)))
}

// want waits for exactly count datagrams.
func (b *inbox) want(t *testing.T, what string, count int) {
	t.Helper()
	read := func() (whole, broken int) {
		b.mutex.Lock()
		defer b.mutex.Unlock()
		return b.whole, b.broken
	}
	whole, broken := read()
	for deadline := time.Now().Add(pace.Patience(3 * time.Second)); whole+broken < count && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		whole, broken = read()
	}
	if whole != count || broken != 0 {
		t.Errorf("%s: %d datagrams arrived, and %d with another payload; want %d and 0", what, whole, broken, count)
	}
}

// setFeatures switches offloads of a device on and off, by ethtool's names.
func setFeatures(in ns.NetNS, device string, features map[string]bool) error {
	return in.Do(func(ns.NetNS) error {
		handle, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer handle.Close()
		if err := handle.Change(device, features); err != nil {
			return fmt.Errorf("set the features of %s to %v: %w", device, features, err)
		}
		return nil
	})
}
