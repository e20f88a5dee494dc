package conformance

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/state"
	"github.com/xdp-port/xdp-port/test/node"
)

// odd are unusual container IDs and network names that CNI allows. It does not limit their
// length.
var odd = []string{
	"a", "0", "A.b-C_d", "a.", "a..", "a.b", "a_b", "a-b", "a-2Eb", "a2Eb",
	strings.Repeat("0123456789abcdef", 4),
	"x" + strings.Repeat(".", 200),
	strings.Repeat("x", 255), strings.Repeat("x", 256), strings.Repeat("x", 256) + "y",
	"y" + strings.Repeat(".-", 2000),
}

// everyByte returns names of interfaces that together contain every byte that both CNI and
// the kernel allow. The kernel's white space includes 0xA0, and it takes a name with a %
// for a template.
func everyByte() (names []string) {
	var legal []byte
	for b := 1; b < 256; b++ {
		if !strings.ContainsRune("/:% \t\n\v\f\r\u00a0", rune(b)) {
			legal = append(legal, byte(b))
		}
	}
	for name := range slices.Chunk(legal, 15) {
		names = append(names, string(name))
	}
	return names
}

// named is an interface and its network.
type named struct {
	*line
	network string
}

// config uses the tc hook that attaches faster. Names do not depend on it.
func (n named) config() config { return lab().with("name", n.network, "tcHook", "clsact") }

func (n named) key() state.Key {
	return state.Key{Network: n.network, Container: n.id, Interface: n.ifname}
}

func TestOddContainerIDs(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	var all []named
	for i, id := range odd {
		all = append(all, named{lay(t, n, c, id, fmt.Sprintf("eth%d", i), i+1), "lab"})
	}
	testNames(t, all)
}

func TestOddNetworkNames(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	var all []named
	for i, network := range odd {
		all = append(all, named{lay(t, n, c, "a", fmt.Sprintf("eth%d", i), i+1), network})
	}
	testNames(t, all)
}

func TestOddInterfaceNames(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	var all []named
	for i, ifname := range append(everyByte(), "e", "e.", "...", "e.0", "e-0", "e_0", "eth0.100@if3", strings.Repeat("é", 7)) {
		all = append(all, named{lay(t, n, c, "a", ifname, i+1), "lab"})
	}
	testNames(t, all)
}

// testNames attaches all interfaces at the same time, and then removes one by one.
func testNames(t *testing.T, all []named) {
	t.Helper()
	before := outside(t)
	for _, one := range all {
		one.succeed(t, "ADD", one.config())
	}
	for i, one := range all {
		one.succeed(t, "CHECK", one.config())
		wantListed(t, all[i:])
		wantPlain(t, before)
		one.succeed(t, "DEL", one.config())
		one.wantNoPrograms(t)
	}
	wantListed(t, nil)
}

// wantListed expects exactly these attachments of the node to be listed, and their rules
// to work.
func wantListed(t *testing.T, want []named) {
	t.Helper()
	got := listed(t)
	for _, one := range want {
		one.wantRules(t)
		if !slices.Contains(got, one.key()) {
			t.Errorf("the list lacks the %s", one.key())
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d attachments are listed, should be %d", len(got), len(want))
	}
}

// listed returns the attachments in the state.
func listed(t *testing.T) (keys []state.Key) {
	t.Helper()
	reader, err := state.OpenForReading()
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	must(t, err)
	defer reader.Close()
	list, err := reader.List()
	must(t, err)
	for _, a := range list {
		keys = append(keys, a.Key)
	}
	return keys
}

// wantPlain expects that no name has led to a path outside of the state folder, and that
// there is nothing new outside of it.
func wantPlain(t *testing.T, before []string) {
	t.Helper()
	for _, path := range node.State() {
		if strings.Contains(path, ".") {
			t.Errorf("%q is in the state folder", path)
		}
	}
	if now := outside(t); !slices.Equal(now, before) {
		t.Errorf("beside the state folder were %q, now are %q", before, now)
	}
}

// outside returns the paths in bpffs outside of the state.
func outside(t *testing.T) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(node.StateFolder))
	must(t, err)
	for _, entry := range entries {
		if entry.Name() != filepath.Base(node.StateFolder) {
			names = append(names, entry.Name())
		}
	}
	return names
}

// TestIllegalNames uses names that could lead out of a folder, or that CNI forbids.
func TestIllegalNames(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	state, before := node.State(), outside(t)
	for _, operation := range []string{"ADD", "DEL"} {
		for _, id := range []string{"..", ".a", "-a", "a/b", "../a", "a b", "a\n", "a%2Fb", "é", "a\xff"} {
			call := l.call(t, operation, lab())
			call.ContainerID = id
			fail(t, n, call, 4, "CNI_CONTAINERID", "is not a container ID")
			fail(t, n, l.call(t, operation, lab().with("name", id)), 7, "name")
		}
		for _, ifname := range []string{".", "..", "../a", "a:b", "a\tb", "a\u00a0b", "0123456789abcdef"} {
			call := l.call(t, operation, lab())
			call.IfName = ifname
			fail(t, n, call, 4, "interface name")
		}
	}
	must(t, state.Unchanged())
	wantPlain(t, before)
}

// TestGCKnowsOddNames runs GC with names that JSON cannot represent.
func TestGCKnowsOddNames(t *testing.T) {
	n := answering(t)
	c := newContainer(t, n)
	var lines []*line
	for i, ifname := range append(everyByte(), "e.") {
		if i%3 > 0 {
			continue
		}
		l := lay(t, n, c, odd[i%len(odd)], ifname, i+1)
		l.succeed(t, "ADD", lab())
		lines = append(lines, l)
	}
	for _, left := range [][]*line{lines, lines[1:], nil} {
		succeed(t, n, collection(t, lab().with(validKey, attachments(left...))))
		for _, l := range lines {
			if slices.Contains(left, l) {
				l.wantRules(t)
			} else {
				l.wantNoPrograms(t)
			}
		}
	}
}
