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
	"github.com/containernetworking/plugins/pkg/testutils"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestReusedIndex has a container go without DEL, and another one get a device of
// the same name and index: whatever is done about the first one leaves the second
// one alone.
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
				remove(t, a, b)
				b.mustBeRight(t)
				b.mustTool(t, "gc")
				b.mustList(t, b)
				b.apply(t, 2, m)
				b.mustBeRight(t)
				b.del(t)
				b.mustBeRight(t)
				a.del(t)
				mustBeClean(t)
			})
		})
	}
}

// twins returns one that is gone, whose rules were attached, and one that has its
// device's name and index.
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

// TestGoneIsTold has a device of the same name and index that nobody has attached:
// gc removes what is gone, and only that.
func TestGoneIsTold(t *testing.T) {
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

// TestNamespaceAgain has a node's network namespace be made again, with the same
// inode and the same indexes: what was attached in the first one is gone.
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

// TestNamespaceAgainInUse is the same where the new one is in use already.
func TestNamespaceAgainInUse(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		a, b := successors(t, m)
		b.add(t, 1, m)
		a.in(b.world).del(t)
		b.mustBeRight(t)
		b.collect(t, b)
		b.mustBeRight(t)
		b.mustList(t, b)
		b.del(t)
		mustBeClean(t)
	})
}

// in is the container as somebody in another world knows it.
func (p *pod) in(w *world) *pod {
	other := *p
	other.world = w
	return &other
}

// successors returns a container that went with its node, and one on a node with
// the same inode, whose device has the same index and name.
func successors(t *testing.T, m manner) (a, b *pod) {
	t.Helper()
	containers := newWorld(t).Node
	for range 5 {
		namespace, remove := newNamespace(t)
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
		a.in(newWorld(t)).del(t) // somebody else has the number
	}
	t.Fatalf("no namespace has the inode of one before")
	return nil, nil
}

// namespaceWith makes namespaces until one has the inode, which the kernel frees
// some time after its namespace has gone, and then gives to the next one. It gives
// up and returns nil.
func namespaceWith(t *testing.T, inode uint64) ns.NetNS {
	t.Helper()
	for range 50 {
		namespace, _ := newNamespace(t)
		if inodeOf(t, namespace) == inode {
			return namespace
		}
		time.Sleep(5 * time.Millisecond)
	}
	return nil
}

// newNamespace makes a namespace that can be removed before the test is over.
func newNamespace(t *testing.T) (namespace ns.NetNS, remove func()) {
	t.Helper()
	namespace, err := testutils.NewNS()
	must(t, err)
	removed := false
	remove = func() {
		if !removed {
			removed = true
			must(t, errors.Join(namespace.Close(), testutils.UnmountNS(namespace)))
		}
	}
	t.Cleanup(remove)
	return namespace, remove
}

func inodeOf(t *testing.T, in ns.NetNS) uint64 {
	t.Helper()
	var stat unix.Stat_t
	must(t, unix.Stat(in.Path(), &stat))
	return stat.Ino
}

// TestRenamed gives the host side another name: that changes nothing.
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

// record is the text of a container's record.
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

// folder is where a container's attachment is pinned.
func folder(t *testing.T, p *pod) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(node.StateFolder, "rulesets/*/attachments", p.network, p.id, "eth0"))
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("%s has the attachments %v", p.id, found)
	}
	return found[0]
}

// TestSwapped has two host sides swap their names.
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

// TestMoved has the host side go to another network namespace and come back: list
// and CHECK agree, nobody takes it for gone, and ADD puts it right.
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

// TestClock has records be dated in the future, or long ago, as where the clock was
// set: that decides nothing.
func TestClock(t *testing.T) {
	for _, year := range []string{"2126", "1970"} {
		t.Run(year, func(t *testing.T) {
			eachManner(t, func(t *testing.T, m manner) {
				a, b := twins(t, m)
				redate(t, a, year)
				b.add(t, 1, m)
				a.del(t)
				b.mustBeRight(t)
				b.mustTool(t, "gc")
				b.mustBeRight(t)
				b.mustList(t, b)
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
	const key = `"AttachedAt":"`
	at := bytes.Index(text, []byte(key)) + len(key)
	copy(text[at:], year)
	must(t, m.Put(uint32(0), text))
}

// TestOneDevice attaches a device for two networks, and for two containers, in each
// mixture of modes and hooks: the second one is refused, and the first stays.
func TestOneDevice(t *testing.T) {
	w := newWorld(t)
	for _, first := range manners(t) {
		p := w.pod(t, fmt.Sprint("host", len(w.pods)), 0)
		p.add(t, 1, first)
		for _, second := range manners(t) {
			for _, version := range []int{1, 2} {
				other := *p
				other.network = "other"
				if code, message := other.verb(t, "ADD", entry("other", version, second)); code != 104 || !strings.Contains(message, p.id) {
					t.Errorf("%s, then %s of another network: code %d: %s", first, second, code, message)
				}
				other.network, other.id = "lab", "another"
				if code, message := other.verb(t, "ADD", entry("lab", version, second)); code != 104 || !strings.Contains(message, p.id) {
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

// TestAddressChanged gives the host side another hardware address, and has somebody
// take all off it: it is the same device, which gc leaves alone and ADD serves again.
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
		return errors.Join(netlink.LinkSetDown(link), netlink.LinkSetUp(link)) // it forgets its neighbours
	}))
}

// strip takes all that is attached off the device, behind everybody's back.
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

// TestSameAddress has two devices that have the same index and hardware address, one
// after the other: gc removes what was attached to the first, and only that.
func TestSameAddress(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		a := w.pod(t, "host0", 0)
		a.readdress(t)
		a.add(t, 1, m)
		index := a.index(t)
		a.removeDevice(t)
		b := w.pod(t, "host0", index)
		b.number = a.number // which makes the same address
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
