package conformance

import (
	"fmt"
	"slices"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

const validKey = "cni.dev/valid-attachments"

// attachments lists interfaces as GC gets them.
func attachments(lines ...*line) []any {
	list := []any{}
	for _, l := range lines {
		list = append(list, map[string]any{"containerID": l.id, "ifname": l.ifname})
	}
	return list
}

// fleet attaches five interfaces of four containers to the network lab, the
// first also to the network other, by another interface.
func fleet(t *testing.T) (n *node.Node, lines []*line, other *line) {
	t.Helper()
	n = answering(t)
	c := newContainer(t, n)
	for i, id := range []string{"a", "b", "b", "c.d", "e"} {
		l := lay(t, n, c, id, fmt.Sprintf("eth%d", i), i+1)
		l.succeed(t, "ADD", lab())
		lines = append(lines, l)
	}
	other = lay(t, n, c, "a", "net1", 9)
	other.succeed(t, "ADD", lab().with("name", "other"))
	return n, lines, other
}

// collection is what GC gets: the configuration without prevResult.
func collection(t *testing.T, c config) node.Call {
	t.Helper()
	return node.Call{Operation: "GC", Stdin: c.without("prevResult").bytes(t)}
}

// wantLeft wants rules on some of the lines and no programs on the others.
func wantLeft(t *testing.T, all []*line, left ...*line) {
	t.Helper()
	for _, l := range all {
		if slices.Contains(left, l) {
			l.wantRules(t)
			l.succeed(t, "CHECK", lab())
		} else {
			l.wantNoPrograms(t)
			l.wantNoRules(t)
		}
	}
}

// TestGC leaves three of five, in rules of its own mind: they are not read.
func TestGC(t *testing.T) {
	n, lines, other := fleet(t)
	left := []*line{lines[0], lines[2], lines[3]}
	valid := append(attachments(left...), map[string]any{"containerID": "unknown", "ifname": "eth0"})
	asked := lab().with(validKey, valid, "rules", "none of your business")
	for range 2 {
		succeed(t, n, collection(t, asked))
		wantLeft(t, lines, left...)
	}
	other.wantRules(t)
}

// TestGCWithoutList removes nothing.
func TestGCWithoutList(t *testing.T) {
	n, lines, other := fleet(t)
	for _, asked := range []config{
		lab(), lab().with(validKey, nil),
		lab().with("cni.dev/attachments", []any{}), // the name in a draft of the specification
	} {
		succeed(t, n, collection(t, asked))
	}
	for _, list := range []any{map[string]any{}, "", 5, []any{nil}, []any{"a"}, []any{map[string]any{"containerID": "a"}}} {
		fail(t, n, collection(t, lab().with(validKey, list)), 7, validKey)
	}
	wantLeft(t, lines, lines...)
	other.wantRules(t)
}

// TestGCWithEmptyList removes all of its network, and nothing of another.
func TestGCWithEmptyList(t *testing.T) {
	n, lines, other := fleet(t)
	succeed(t, n, collection(t, lab().with("name", "third", validKey, []any{})))
	wantLeft(t, lines, lines...)
	succeed(t, n, collection(t, lab().with(validKey, []any{})))
	wantLeft(t, lines)
	other.wantRules(t)
	succeed(t, n, collection(t, lab().with("name", "other", validKey, []any{})))
	other.wantNoPrograms(t)
	succeed(t, n, collection(t, lab().with(validKey, []any{}))) // without any state
}

// TestGCGoesOn has attachments that cannot be removed: something is mounted on
// their folders.
func TestGCGoesOn(t *testing.T) {
	n, lines, other := fleet(t)
	asked := collection(t, lab().with(validKey, attachments(lines[4])))
	stuck := []*line{lines[0], lines[2]}
	call := asked
	call.Through = inShell(fmt.Sprintf("mount --bind %[1]s %[1]s && mount --bind %[2]s %[2]s",
		stuck[0].folder(t), stuck[1].folder(t)))
	fail(t, n, call, 105, "network lab", "container a", "interface eth0", "container b", "interface eth2", "busy")
	for _, l := range []*line{lines[1], lines[3]} {
		l.wantNoPrograms(t)
		l.wantNoRules(t)
	}
	lines[4].wantRules(t)
	other.wantRules(t)
	succeed(t, n, asked)
	wantLeft(t, lines, lines[4])
}

// TestGCOfAnotherNode leaves alone what is in another network namespace than
// its own: on one machine, that is another node.
func TestGCOfAnotherNode(t *testing.T) {
	_, lines, _ := fleet(t)
	elsewhere := node.ForTest(t)
	succeed(t, elsewhere, collection(t, lab().with(validKey, []any{})))
	wantLeft(t, lines, lines...)
}
