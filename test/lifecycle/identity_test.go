package lifecycle

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	ebpflink "github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestReusedIndex removes a container without DEL, and gives another one a device with
// the same name and index. Operations on the first must not touch the second.
func TestReusedIndex(t *testing.T) {
	for name, remove := range map[string]func(*testing.T, *pod, *pod){
		"DEL":   func(t *testing.T, a, _ *pod) { a.del(t) },
		"GC":    func(t *testing.T, _, b *pod) { b.collect(t, b) },
		"gc":    func(t *testing.T, _, b *pod) { b.mustTool(t, "gc") },
		"apply": func(t *testing.T, _, b *pod) { b.apply(t, 3, b.manner) },
		"ADD":   func(t *testing.T, _, b *pod) { b.add(t, 1, b.manner) },
	} {
		t.Run(name, func(t *testing.T) {
			eachManner(t, func(t *testing.T, m manner) {
				a, b := twins(t, m)
				b.add(t, 1, m)
				b.startStream(t, interval)
				remove(t, a, b)
				b.mustBeRight(t)
				b.mustTool(t, "gc")
				b.mustList(t, b)
				b.apply(t, 2, m)
				b.mustBeRight(t)
				b.stream.mustFlow(t)
				b.del(t)
				b.mustBeRight(t)
				a.del(t)
				mustBeClean(t)
			})
		})
	}
}

// twins returns a container that has gone while it was attached, and a new one
// with a device of the same name and index.
func twins(t *testing.T, m manner) (a, b *pod) {
	t.Helper()
	w := newWorld(t)
	a = w.pod(t, "host0", 0)
	a.add(t, 1, m)
	a.mustBeRight(t)
	index := a.index(t)
	a.removeDevice(t)
	a.version = 0
	return a, w.pod(t, "host0", index)
}

// TestGoneIsReported makes a device with the name and index of one that has gone, and
// attaches nothing to it. gc must remove the attachment that has gone, and only that.
func TestGoneIsReported(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		a, b := twins(t, m)
		other := b.pod(t, "host1", 0)
		other.add(t, 1, m)
		if l := a.listedAs(t); l == nil || !l.Gone {
			t.Errorf("list says %+v", l)
		}
		b.mustTool(t, "gc")
		b.mustList(t, other)
		b.mustBeRight(t)
		other.mustBeRight(t)
		other.del(t)
		mustBeClean(t)
	})
}

// TestNamespaceAgain re-creates a node's network namespace with the same inode and the
// same indexes. The attachment in the first one has gone.
func TestNamespaceAgain(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		a, b := successors(t, m)
		if l := a.in(b.world).listedAs(t); l == nil || !l.Gone {
			t.Errorf("list says of what was in the namespace before: %+v", l)
		}
		b.mustTool(t, "gc")
		b.mustList(t)
		mustBeClean(t)
	})
}

// TestNamespaceAgainInUse does the same, with an attachment in the new namespace.
func TestNamespaceAgainInUse(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		a, b := successors(t, m)
		b.add(t, 1, m)
		b.startStream(t, interval)
		a.in(b.world).del(t)
		b.mustBeRight(t)
		b.collect(t, b)
		b.mustBeRight(t)
		b.stream.mustFlow(t)
		b.mustList(t, b)
		b.del(t)
		mustBeClean(t)
	})
}

// in returns the container as seen from another world.
func (p *pod) in(w *world) *pod {
	other := *p
	other.world = w
	return &other
}

// successors returns a container that has gone with its node, and one on a node with
// the same inode and a device with the same index and name.
func successors(t *testing.T, m manner) (a, b *pod) {
	t.Helper()
	containers := newWorld(t).Node
	const tries = 20 // other suites make namespaces at the same time
	for range tries {
		namespace, remove := node.Namespace(t)
		first := &world{Node: &node.Node{NS: namespace}, containers: containers}
		a = first.pod(t, "host0", 0)
		a.add(t, 1, m)
		index, inode := a.index(t), inodeOf(t, namespace)
		remove()
		if again := namespaceWith(t, inode); again != nil {
			second := &world{Node: &node.Node{NS: again}, containers: containers}
			serve(t, again, egressPort, egressTarget)
			return a, second.pod(t, "host0", index)
		}
		a.in(newWorld(t)).del(t) // another process got the inode
	}
	t.Fatalf("no namespace has the inode of one before")
	return nil, nil
}

// namespaceWith makes namespaces until one has the inode. The kernel frees an inode some
// time after its namespace has gone and then gives it to the next one. namespaceWith
// returns nil if that takes too long.
func namespaceWith(t *testing.T, inode uint64) ns.NetNS {
	t.Helper()
	for range 200 {
		namespace, _ := node.Namespace(t)
		if inodeOf(t, namespace) == inode {
			return namespace
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

func inodeOf(t *testing.T, in ns.NetNS) uint64 {
	t.Helper()
	var stat unix.Stat_t
	must(t, unix.Stat(in.Path(), &stat))
	return stat.Ino
}

// TestRenamed renames the host side. That must change nothing.
func TestRenamed(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		p := w.pod(t, "host0", 0)
		p.add(t, 1, m)
		p.rename(t, "other0")
		w.mustTool(t, "gc")
		w.mustList(t, p)
		p.mustBeRight(t)
		w.apply(t, 2, m)
		p.mustBeRight(t)
		if code, message := p.check(t); code != 0 {
			t.Errorf("CHECK: %s", message)
		}
		p.add(t, 2, m)
		w.mustList(t, p)
		if text := record(t, p); !strings.Contains(text, `"other0"`) {
			t.Errorf("the record says %s", text)
		}
		p.del(t)
		p.mustBeRight(t)
		mustBeClean(t)
	})
}

// record returns the text of a container's record.
func record(t *testing.T, p *pod) string {
	t.Helper()
	m := recordMap(t, p)
	defer m.Close()
	var text []byte
	must(t, m.Lookup(uint32(0), &text))
	return string(text)
}

func recordMap(t *testing.T, p *pod) *ebpf.Map {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(filepath.Join(folder(t, p), "record"), nil)
	must(t, err)
	return m
}

// folder is the folder of a container's attachment.
func folder(t *testing.T, p *pod) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(node.StateFolder, "rulesets/*/attachments", p.network, p.id, "eth0"))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%s has the attachments %v", p.id, found)
	}
	return found[0]
}

// ruleset is where the ruleset of a container is pinned.
func ruleset(t *testing.T, p *pod) string {
	t.Helper()
	return filepath.Join(folder(t, p), "../../../..")
}

// TestSwapped swaps the names of two host sides.
func TestSwapped(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		a, b := w.pod(t, "host0", 0), w.pod(t, "host1", 0)
		a.add(t, 1, m)
		b.add(t, 1, m)
		a.rename(t, "swap")
		b.rename(t, "host0")
		a.rename(t, "host1")
		w.mustTool(t, "gc")
		w.mustList(t, a, b)
		w.apply(t, 2, m)
		a.mustBeRight(t)
		b.mustBeRight(t)
		a.del(t)
		a.mustBeRight(t)
		b.mustBeRight(t)
		b.del(t)
		mustBeClean(t)
	})
}

// TestMoved moves the host side to another network namespace and back. list and CHECK
// must agree, no operation may report it as gone, and ADD must fix it.
func TestMoved(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		p := w.pod(t, "host0", 0)
		p.add(t, 1, m)
		p.onHost(t, func(link netlink.Link) error { return netlink.LinkSetNsFd(link, int(w.Far.Fd())) })
		if code, _ := p.check(t); code == 0 {
			t.Error("CHECK finds nothing wrong")
		}
		if l := p.listedAs(t); l == nil || l.Healthy {
			t.Errorf("list says %+v", l)
		}
		w.mustTool(t, "gc")
		must(t, w.Far.Do(func(ns.NetNS) error {
			link, err := netlink.LinkByName(p.device)
			if err != nil {
				return err
			}
			return netlink.LinkSetNsFd(link, int(w.NS.Fd()))
		}))
		must(t, w.NS.Do(func(ns.NetNS) error { return setUp(p.device, p.address(1)) }))
		p.add(t, 1, m)
		p.mustBeRight(t)
		w.mustList(t, p)
		p.del(t)
		p.mustBeRight(t)
		mustBeClean(t)
	})
}

// TestClock dates the record of a container that has gone in the future, and that of
// its successor long ago, and the reverse, as if the clock had jumped. That must not
// matter.
func TestClock(t *testing.T) {
	for year, successors := range map[string]string{"2126": "1970", "1970": "2126"} {
		t.Run(year, func(t *testing.T) {
			eachManner(t, func(t *testing.T, m manner) {
				a, b := twins(t, m)
				redate(t, a, year)
				b.add(t, 1, m)
				redate(t, b, successors)
				b.startStream(t, interval)
				a.del(t)
				b.mustBeRight(t)
				b.mustTool(t, "gc")
				b.mustBeRight(t)
				b.mustList(t, b)
				b.apply(t, 2, m)
				b.mustBeRight(t)
				b.stream.mustFlow(t)
				b.del(t)
				b.mustBeRight(t)
				mustBeClean(t)
			})
		})
	}
}

// redate changes the year of a record.
func redate(t *testing.T, p *pod, year string) {
	t.Helper()
	m := recordMap(t, p)
	defer m.Close()
	var text []byte
	must(t, m.Lookup(uint32(0), &text))
	const key = `"attachedAt":"`
	at := bytes.Index(text, []byte(key)) + len(key)
	copy(text[at:], year)
	must(t, m.Put(uint32(0), text))
}

// TestOneDevice attaches one device for two networks and for two containers, in each
// combination of modes and hooks. The second attachment is refused, the first stays.
func TestOneDevice(t *testing.T) {
	w := newWorld(t)
	for _, first := range manners(t) {
		p := w.pod(t, fmt.Sprint("host", len(w.pods)), 0)
		p.add(t, 1, first)
		for _, second := range manners(t) {
			for _, version := range []int{1, 2} {
				other := *p
				other.network = "other"
				if code, message := other.operation(t, "ADD", entry("other", version, second)); code != 104 || !strings.Contains(message, p.id) {
					t.Errorf("%s, then %s of another network: code %d: %s", first, second, code, message)
				}
				other.network, other.id = "lab", "another"
				if code, message := other.operation(t, "ADD", entry("lab", version, second)); code != 104 || !strings.Contains(message, p.id) {
					t.Errorf("%s, then %s of another container: code %d: %s", first, second, code, message)
				}
			}
		}
		p.mustBeRight(t)
		w.mustList(t, p)
		p.del(t)
		p.mustBeRight(t)
	}
	if _, err := os.Stat(node.StateFolder); err == nil {
		mustBeClean(t)
	}
}

// TestAddressChanged changes the hardware address of the host side and detaches
// everything from it. It is still the same device: gc must leave it alone, and ADD must
// attach to it again.
func TestAddressChanged(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		p := w.pod(t, "host0", 0)
		p.add(t, 1, m)
		p.readdress(t)
		p.mustBeRight(t)
		p.strip(t)
		if l := p.listedAs(t); l == nil || l.Healthy || l.Gone {
			t.Errorf("list says %+v", l)
		}
		w.mustTool(t, "gc")
		w.apply(t, 2, m)
		p.mustBeRight(t)
		w.mustList(t, p)
		p.del(t)
		p.mustBeRight(t)
		mustBeClean(t)
	})
}

func (p *pod) readdress(t *testing.T) {
	t.Helper()
	p.onHost(t, func(link netlink.Link) error {
		return netlink.LinkSetHardwareAddr(link, net.HardwareAddr{2, 0, 0, 0, 1, byte(p.number)})
	})
	must(t, p.c.NS.Do(func(ns.NetNS) error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetDown(link), netlink.LinkSetUp(link)) // this clears its neighbours
	}))
}

// strip detaches everything from the device without using xdp-port.
func (p *pod) strip(t *testing.T) {
	t.Helper()
	for _, name := range []string{"xdp", "tc_ingress", "tc_egress"} {
		pinned, err := ebpflink.LoadPinnedLink(filepath.Join(folder(t, p), name), nil)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		must(t, err)
		must(t, errors.Join(pinned.Detach(), pinned.Close()))
	}
	if p.manner.hook == "clsact" {
		p.onHost(t, func(link netlink.Link) error {
			return netlink.QdiscDel(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
				LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
			}})
		})
	}
}

// TestSameAddress makes two devices, one after the other, with the same index and
// hardware address. gc must remove the attachment of the first, and only that.
func TestSameAddress(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		a := w.pod(t, "host0", 0)
		a.readdress(t)
		a.add(t, 1, m)
		index := a.index(t)
		a.removeDevice(t)
		b := w.pod(t, "host0", index)
		b.number = a.number // this gives it the same address
		b.readdress(t)
		b.number = 2
		b.add(t, 1, m)
		w.mustTool(t, "gc")
		w.mustList(t, b)
		b.mustBeRight(t)
		b.del(t)
		mustBeClean(t)
	})
}

// TestMovedAway moves a host side to another network namespace, and gives another
// container a device with its index and name. ADD for that one succeeds, and nothing
// that is done about the first one touches the second. A clsact qdisc and its filters
// do not survive the move, so that nothing is left of the first one in mode tc.
func TestMovedAway(t *testing.T) {
	for name, remove := range map[string]func(*testing.T, *pod, *pod){
		"DEL": func(t *testing.T, a, _ *pod) { a.del(t) },
		"GC":  func(t *testing.T, _, b *pod) { b.collect(t, b) },
		"gc":  func(t *testing.T, _, b *pod) { b.mustTool(t, "gc") },
		"apply": func(t *testing.T, _, b *pod) {
			b.changing(3, b.manner)
			b.tool(t, "apply", conflist(t, 3, b.manner)) // which fails for the one that moved away
			b.version = 3
			b.changed()
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachManner(t, func(t *testing.T, m manner) {
				w := newWorld(t)
				a := w.pod(t, "host0", 0)
				a.add(t, 1, m)
				index := a.index(t)
				a.onHost(t, func(link netlink.Link) error { return netlink.LinkSetNsFd(link, int(w.Far.Fd())) })
				a.version = 0
				b := w.pod(t, "host0", index)
				b.add(t, 1, m)
				b.startStream(t, interval)
				b.stream.mustFlow(t)
				if l := a.listedAs(t); l == nil && m != (manner{"tc", "clsact"}) || l != nil && (l.Healthy || l.Gone) {
					t.Errorf("list says of the one that moved away: %+v", l)
				}
				if l := b.listedAs(t); l == nil || !l.Healthy {
					t.Errorf("list says of its successor: %+v", l)
				}
				if code, message := b.check(t); code != 0 {
					t.Errorf("CHECK: %s", message)
				}
				remove(t, a, b)
				b.stream.mustFlow(t)
				b.mustBeRight(t)
				a.del(t)
				b.stream.mustFlow(t)
				b.mustList(t, b)
				b.del(t)
				b.mustBeRight(t)
				mustBeClean(t)
			})
		})
	}
}
