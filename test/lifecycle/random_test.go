//go:build linux && amd64

package lifecycle

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/internal/ptrace"
	"github.com/xdp-port/xdp-port/test/node"
)

// TestRandomLife starts, changes and stops containers at random, and looks at all of
// them after each step. The seed of a run is in its name, and XDP_PORT_SEED runs one
// seed again. Seeds that once failed stay in the list.
func TestRandomLife(t *testing.T) {
	pods, steps := 6, 60
	seeds := []uint64{1, 2}
	if os.Getenv("XDP_PORT_NIGHTLY") != "" {
		pods, steps = 20, 1000
		seeds = append(seeds, uint64(time.Now().UnixNano()))
	}
	if seed, err := strconv.ParseUint(os.Getenv("XDP_PORT_SEED"), 10, 64); err == nil {
		seeds = []uint64{seed}
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			l := &life{world: newWorld(t), Rand: rand.New(rand.NewPCG(seed, 0)), manners: manners(t)}
			for range pods {
				l.running = append(l.running, l.start(t, l.newName(), 0))
			}
			for i := range steps {
				step := l.step()
				t.Logf("%d: %s", i, step.name)
				step.do(t)
				l.mustBeRight(t)
			}
			l.end(t)
		})
	}
}

// life is a world in which things happen at random.
type life struct {
	*world
	*rand.Rand
	manners []manner
	// running are the running containers; gone are those that stopped without DEL.
	running, gone []*pod
	names         int
}

func (l *life) newName() string {
	l.names++
	return fmt.Sprintf("host%d", l.names)
}

// start makes a container with traffic. Many containers send less often each.
func (l *life) start(t *testing.T, device string, index int) *pod {
	p := l.pod(t, device, index)
	p.startStream(t, 20*interval)
	return p
}

func (l *life) any() *pod { return l.running[l.IntN(len(l.running))] }

func (l *life) anyManner() manner { return l.manners[l.IntN(len(l.manners))] }

func (l *life) anyVersion() int { return 1 + l.IntN(versions) }

// step is one event.
type step struct {
	name string
	do   func(*testing.T)
}

// step chooses the next event.
func (l *life) step() step {
	p, m, version := l.any(), l.anyManner(), l.anyVersion()
	steps := []step{
		{fmt.Sprintf("ADD %s: rules %d, %s", p.id, version, m), func(t *testing.T) { p.add(t, version, m) }},
		{fmt.Sprintf("ADD %s again", p.id), func(t *testing.T) {
			if p.version != 0 {
				p.add(t, p.version, p.manner)
			}
		}},
		{"DEL " + p.id, func(t *testing.T) { p.del(t) }},
		{fmt.Sprintf("apply rules %d, %s", version, m), func(t *testing.T) { l.apply(t, version, m) }},
		{fmt.Sprintf("apply other rules: %d", version), func(t *testing.T) { l.applyRules(t, version) }},
		{"GC", func(t *testing.T) { l.collectGone(t) }},
		{"gc", func(t *testing.T) { l.gc(t) }},
		{fmt.Sprintf("kill ADD of %s: rules %d, %s", p.id, version, m), func(t *testing.T) { l.killADD(t, p, version, m) }},
		{fmt.Sprintf("kill apply of rules %d, %s", version, m), func(t *testing.T) { l.killApply(t, version, m) }},
		{"rename the device of " + p.id, func(t *testing.T) { p.rename(t, l.newName()) }},
		{"swap names", func(t *testing.T) { l.swap(t) }},
		{"the device of " + p.id + " goes, and comes again", func(t *testing.T) { l.renew(t, p, 0) }},
		{"the device of " + p.id + " goes, and one with its index and name comes", func(t *testing.T) { l.renew(t, p, p.index(t)) }},
		{p.id + " dies, and another one gets its device's index and name", func(t *testing.T) { l.succeed(t, p) }},
		{p.id + " dies", func(t *testing.T) { l.die(t, p) }},
		{p.id + " is put behind a bridge", func(t *testing.T) { l.enslave(t, p) }},
	}
	return steps[l.IntN(len(steps))]
}

// applyRules changes only the rules, of containers with the same mode and hook.
func (l *life) applyRules(t *testing.T, version int) {
	for _, p := range l.running {
		if p.version != 0 {
			l.apply(t, version, p.manner)
			return
		}
	}
}

// collectGone runs GC as a runtime that knows which containers are running.
func (l *life) collectGone(t *testing.T) {
	l.collect(t, l.running...)
	l.gone = slices.DeleteFunc(l.gone, func(p *pod) bool { return !slices.Contains(l.running, p) })
}

func (l *life) gc(t *testing.T) {
	l.mustTool(t, "gc")
	l.gone = nil
}

func (l *life) swap(t *testing.T) {
	if len(l.running) < 2 {
		return
	}
	a, b := l.running[0], l.running[1]
	nameA, nameB := a.device, b.device
	a.rename(t, "swap")
	b.rename(t, nameA)
	a.rename(t, nameB)
}

// renew gives the container another device, without rules. Its runtime would re-create
// the container.
func (l *life) renew(t *testing.T, p *pod, index int) {
	l.leave(p)
	p.removeDevice(t)
	p.lay(t, index)
	p.version = 0
}

// leave records the stale state of a container without its device.
func (l *life) leave(p *pod) {
	if p.version != 0 {
		l.gone = append(l.gone, p)
	}
}

// die removes the device of a container and starts another container.
func (l *life) die(t *testing.T, p *pod) {
	l.replace(t, p, l.newName(), 0)
}

func (l *life) succeed(t *testing.T, p *pod) {
	l.replace(t, p, p.device, p.index(t))
}

func (l *life) replace(t *testing.T, p *pod, device string, index int) {
	l.leave(p)
	p.removeDevice(t)
	p.stream.end()
	next := l.start(t, device, index)
	p.version = 0
	l.running[slices.Index(l.running, p)] = next
}

// enslave attaches the host side to a bridge and detaches it again.
func (l *life) enslave(t *testing.T, p *pod) {
	must(t, p.NS.Do(func(ns.NetNS) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "bridge"
		bridge := &netlink.Bridge{LinkAttrs: attrs}
		if err := netlink.LinkAdd(bridge); err != nil {
			return err
		}
		link, err := netlink.LinkByName(p.device)
		if err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetMaster(link, bridge), netlink.LinkSetNoMaster(link), netlink.LinkDel(bridge))
	}))
}

// killADD kills ADD at any of its calls, and runs another operation.
func (l *life) killADD(t *testing.T, p *pod, version int, m manner) {
	p.changing(version, m)
	stdin := jsonOf(t, entry(p.network, version, m))
	_, err := p.Call(node.Call{
		Operation: "ADD", ContainerID: p.id, NetNS: p.c.NS.Path(), IfName: "eth0", Stdin: stdin, Run: l.killed(),
	})
	must(t, err)
	l.follow(t, []*pod{p}, version, m)
}

func (l *life) killApply(t *testing.T, version int, m manner) {
	bin, err := node.BinDir()
	must(t, err)
	tool := exec.Command(filepath.Join(bin, "xdp-portctl"), "apply", conflist(t, version, m))
	run := l.killed()
	for _, p := range l.attached() {
		p.changing(version, m)
	}
	must(t, l.NS.Do(func(ns.NetNS) error { return run(tool) }))
	l.follow(t, l.attached(), version, m)
}

// killed returns a function that runs a command and kills it at one of the system calls
// that change something, or after the last one.
func (l *life) killed() func(*exec.Cmd) error {
	n := l.IntN(150)
	return func(command *exec.Cmd) error {
		calls := 0
		err := ptrace.Run(command, node.ToolTimeout, func(c ptrace.Call) ptrace.Verdict {
			switch c.Number {
			case unix.SYS_BPF, unix.SYS_SENDTO, unix.SYS_RENAMEAT, unix.SYS_RENAMEAT2, unix.SYS_UNLINKAT, unix.SYS_MKDIRAT, unix.SYS_FLOCK:
			default:
				return ptrace.Proceed
			}
			if calls++; calls <= n {
				return ptrace.Proceed
			}
			return ptrace.Kill
		})
		if ptrace.IsKilled(err) {
			return nil
		}
		return err
	}
}

// follow runs an operation after a kill. Each container must then have its old or its
// new rules. A container that had none may have none, and its runtime removes an
// incomplete attachment.
func (l *life) follow(t *testing.T, touched []*pod, version int, m manner) {
	l.gc(t)
	for _, p := range touched {
		switch saw := p.look(t); {
		case p.version != 0 && saw == sightOf(p.version): // also in another mode or at another hook
			p.manner = l.mannerOf(t, p)
		case saw == sightOf(version):
			p.version, p.manner = version, m
		case p.version == 0 && saw == sightOf(0):
			p.del(t)
		default:
			t.Fatalf("%s, of rules %d, was to get rules %d, and its packets arrive at %+v", p.id, p.version, version, saw)
		}
		p.changed()
	}
}

// mannerOf returns the container's mode and hook in list.
func (l *life) mannerOf(t *testing.T, p *pod) manner {
	listed := p.listedAs(t)
	if listed == nil {
		t.Fatalf("%s is not listed", p.id)
	}
	return manner{listed.Mode, listed.TCHook}
}

// mustBeRight looks at the traffic of all running containers, and at the tools' reports
// of all containers.
func (l *life) mustBeRight(t *testing.T) {
	t.Helper()
	list := l.list(t)
	said := map[string]listed{}
	for _, a := range list {
		said[a.Container] = a
	}
	for _, p := range l.running {
		p.mustBeRight(t)
		p.stream.check(t)
		a, isListed := said[p.id]
		delete(said, p.id)
		switch isGone := slices.Contains(l.gone, p); {
		case p.version == 0 && isListed && (!isGone || !a.Gone):
			t.Fatalf("%s is not attached, and list says %+v", p.id, a)
		case p.version == 0:
		case !isListed || !a.Healthy || a.Device != p.device || a.Mode != p.manner.mode || a.TCHook != p.manner.hook:
			t.Fatalf("%s is attached to %s, in the manner %s, and list says %+v", p.id, p.device, p.manner, a)
		default:
			if code, message := p.check(t); code != 0 {
				t.Fatalf("CHECK of %s: %s", p.id, message)
			}
		}
	}
	for id, a := range said {
		if !a.Gone || !slices.ContainsFunc(l.gone, func(p *pod) bool { return p.id == id }) {
			t.Fatalf("%s does not run, and list says %+v", id, a)
		}
	}
}

// end removes all containers and expects no state.
func (l *life) end(t *testing.T) {
	t.Helper()
	for _, p := range l.running {
		p.del(t)
	}
	l.gc(t)
	l.mustBeRight(t)
	mustBeClean(t)
}
