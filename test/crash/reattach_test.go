//go:build linux && amd64

package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/test/internal/ptrace"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// manner is a mode and a tc hook.
type manner struct{ mode, hook string }

func (m manner) String() string { return m.mode + "-" + m.hook }

// reattachments are changes that no link.Update can make. They detach a container and
// attach it again.
func reattachments(t *testing.T) [][2]manner {
	if node.TCHook(t) != "tcx" {
		return [][2]manner{
			{{"generic", "clsact"}, {"native", "clsact"}},
			{{"generic", "clsact"}, {"tc", "clsact"}},
			{{"tc", "clsact"}, {"native", "clsact"}},
		}
	}
	return [][2]manner{
		{{"generic", "tcx"}, {"native", "tcx"}},
		{{"generic", "tcx"}, {"tc", "tcx"}},
		{{"native", "tcx"}, {"generic", "clsact"}},
		{{"tc", "tcx"}, {"generic", "tcx"}},
		{{"tc", "tcx"}, {"tc", "clsact"}},
		{{"tc", "clsact"}, {"tc", "tcx"}},
		{{"generic", "clsact"}, {"generic", "tcx"}},
		{{"tc", "clsact"}, {"native", "clsact"}},
	}
}

// TestReattach kills ADD and apply while they reattach a container, at the system calls
// that change something. Afterwards the old or the new rules are in force. If none are, list
// reports that, and the next operation for any container ends it.
func TestReattach(t *testing.T) {
	for i, pair := range reattachments(t) {
		for j, by := range []string{"ADD", "apply"} {
			t.Run(fmt.Sprintf("%s to %s by %s", pair[0], pair[1], by), func(t *testing.T) {
				node.NeedMode(t, pair[0].mode)
				node.NeedMode(t, pair[1].mode)
				r := newReattachment(t, pair, by)
				for _, p := range r.points(t, 2*i+j) {
					if !r.kill(t, p) {
						return
					}
				}
			})
		}
	}
}

// reattachment is one of these changes, of one container.
type reattachment struct {
	*world
	from, to rules
	by       string
	// fromList and toList are conflists with the rules, for apply.
	fromList, toList string
}

func newReattachment(t *testing.T, pair [2]manner, by string) *reattachment {
	t.Helper()
	r := &reattachment{
		world: newWorld(t, newStage(t)), by: by,
		from: second(pair[0].hook, pair[0].mode), to: first(pair[1].hook, pair[1].mode),
	}
	r.fromList, r.toList = node.ConflistOf(t, r.from.config), node.ConflistOf(t, r.to.config)
	return r
}

// change makes the change and asks judge about each system call.
func (r *reattachment) change(t *testing.T, judge func(ptrace.Call) ptrace.Verdict) (killed bool) {
	t.Helper()
	if r.by == "ADD" {
		killed, refused := r.traced(t, "ADD", r.to.config, judge)
		if refused != nil {
			t.Fatal(refused)
		}
		return killed
	}
	tool := node.ToolCommand(t, "apply", r.toList)
	var err error
	must(t, r.n.NS.Do(func(ns.NetNS) error {
		err = ptrace.Run(tool, node.ToolTimeout, judge)
		return nil
	}))
	if killed = ptrace.IsKilled(err); !killed {
		must(t, err)
	}
	return killed
}

// mustTool runs the operator's tool, which must exit with the code.
func (w *world) mustTool(t *testing.T, code int, args ...string) {
	t.Helper()
	stdout, stderr, got := w.n.RunTool(t, node.ToolCommand(t, args...))
	if got != code {
		t.Fatalf("%v exits with %d, want %d: %s%s", args, got, code, stdout, stderr)
	}
}

// point is where to kill a change, and the operation that follows.
type point struct {
	// n counts the calls that change something.
	n    int
	next follower
}

// points are where to kill. The nightly run kills at each call, once for each follower.
// Other runs kill at a few calls, most of them after the first deletion of an element,
// where the container may be without rules.
func (r *reattachment) points(t *testing.T, first int) (points []point) {
	t.Helper()
	calls, gap := 0, 0
	r.must(t, "ADD", r.from.config)
	r.change(t, func(c ptrace.Call) ptrace.Verdict {
		if !changes(c) {
			return ptrace.Proceed
		}
		if gap == 0 && describe(c) == "bpf MAP_DELETE_ELEM" {
			gap = calls
		}
		calls++
		return ptrace.Proceed
	})
	r.mustSee(t, r.to.sight)
	r.end(t)
	if os.Getenv("XDP_PORT_NIGHTLY") != "" {
		return eachFollowedByEach(calls)
	}
	const before, within = 1, 4
	add := func(n int) {
		points = append(points, point{n, followers[(first+len(points))%len(followers)]})
	}
	for i := range before {
		add(gap * (2*i + 1) / (2 * before))
	}
	for i := range chosen(within) {
		add(gap + (calls-gap)*(2*i+1)/(2*chosen(within)))
	}
	return points
}

// eachFollowedByEach visits all calls before any call a second time, each time with
// another follower.
func eachFollowedByEach(calls int) (points []point) {
	for shift := range followers {
		for n := range calls {
			points = append(points, point{n, followers[(n+shift)%len(followers)]})
		}
	}
	return points
}

// killAfter kills at the call that changes something after n others did.
func killAfter(n int, at *string) func(ptrace.Call) ptrace.Verdict {
	calls := 0
	return func(c ptrace.Call) ptrace.Verdict {
		if !changes(c) {
			return ptrace.Proceed
		}
		if calls++; calls <= n {
			return ptrace.Proceed
		}
		*at = describe(c)
		return ptrace.Kill
	}
}

// kill kills the change and runs the follower. It reports whether the test still
// passes.
func (r *reattachment) kill(t *testing.T, p point) bool {
	return t.Run(fmt.Sprintf("%d/%s", p.n, p.next.name), func(t *testing.T) {
		r.must(t, "ADD", r.from.config)
		r.mustSee(t, r.from.sight)
		at := "nothing"
		killed := r.change(t, killAfter(p.n, &at))
		t.Logf("killed: %t, at call %d: %s", killed, p.n, at)
		r.mustSeeOrReport(t)
		p.next.run(t, r)
		r.mustSee(t, p.next.allowed(r)...)
		r.mustBeHealthy(t)
		r.end(t)
	})
}

// mustSeeOrReport expects the old or the new rules to be in force, or list to report
// that none are.
func (r *reattachment) mustSeeOrReport(t *testing.T) {
	t.Helper()
	saw, err := r.look()
	must(t, err)
	switch saw {
	case r.from.sight, r.to.sight:
	case untouched:
		if a := r.listed(t); a == nil || a.Healthy {
			t.Fatalf("the container has no rules, and list says %+v", a)
		}
		r.mustTool(t, 1, "list")
		r.mustTool(t, 1, "doctor")
	default:
		t.Fatalf("the traffic is\n%+v", saw)
	}
}

// listed returns the attachment of the container in list, or nil.
func (w *world) listed(t *testing.T) (found *inspect.Attachment) {
	t.Helper()
	must(t, w.n.NS.Do(func(ns.NetNS) error {
		list, err := inspect.Attachments()
		for i := range list {
			if list[i].Container == w.c.PluginID() {
				found = &list[i]
			}
		}
		return err
	}))
	return found
}

func (w *world) mustBeHealthy(t *testing.T) {
	t.Helper()
	if a := w.listed(t); a == nil || !a.Healthy {
		t.Fatalf("list says %+v", a)
	}
}

func (r *reattachment) end(t *testing.T) {
	t.Helper()
	r.must(t, "DEL", r.from.config)
	r.mustSee(t, untouched)
	r.mustBeClean(t)
}

// follower is the operation that follows a killed process.
type follower struct {
	name string
	run  func(*testing.T, *reattachment)
	// forward is set if it completes the change to the new rules.
	forward bool
}

func (f follower) allowed(r *reattachment) []sight {
	if f.forward {
		return []sight{r.to.sight}
	}
	return []sight{r.from.sight, r.to.sight}
}

var followers = []follower{
	{name: "ADD of another", run: func(t *testing.T, r *reattachment) {
		other := r.call(t, "ADD", config("tcx", "auto", []map[string]any{}))
		other.ContainerID += "-another"
		answer, err := r.n.Call(other)
		must(t, err)
		if answer.Refusal != nil {
			t.Fatal(answer.Refusal)
		}
		must(t, ignored(r.n.Call(r.another(t)))) // without state ADD has nothing to do
	}},
	{name: "GC", run: func(t *testing.T, r *reattachment) {
		r.must(t, "GC", map[string]any{
			"cniVersion": "1.1.0", "name": "another", "type": "xdp-port", "cni.dev/valid-attachments": []any{},
		})
	}},
	{name: "gc", run: func(t *testing.T, r *reattachment) { r.mustTool(t, 0, "gc") }},
	{name: "apply", forward: true, run: func(t *testing.T, r *reattachment) { r.mustTool(t, 0, "apply", r.toList) }},
	{name: "ADD again", forward: true, run: func(t *testing.T, r *reattachment) { r.must(t, "ADD", r.to.config) }},
	{name: "agent", run: followByAgent},
}

func ignored(_ *node.Answer, err error) error { return err }

// followByAgent starts the agent, which first of all collects garbage.
func followByAgent(t *testing.T, r *reattachment) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), node.ToolTimeout)
	defer cancel()
	agent := node.ToolCommand(t, "agent", "--config", filepath.Join(t.TempDir(), "none"), "--net-dir", t.TempDir(),
		"--bin-dir", t.TempDir(), "--listen", "127.0.0.1:9437")
	must(t, r.n.NS.Do(func(ns.NetNS) error { return agent.Start() }))
	defer func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	}()
	for ctx.Err() == nil {
		if a := r.listed(t); a != nil && a.Healthy {
			return
		}
		time.Sleep(pace.Patience(5 * time.Millisecond))
	}
}

// TestReattachGone kills an operation that reattaches a container, and removes the
// container. Nothing may attach it again, and nothing may be left behind.
func TestReattachGone(t *testing.T) {
	for name, remove := range map[string]func(*testing.T, *reattachment){
		"DEL": func(t *testing.T, r *reattachment) { r.must(t, "DEL", r.to.config) },
		"GC": func(t *testing.T, r *reattachment) {
			r.must(t, "GC", map[string]any{
				"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port", "cni.dev/valid-attachments": []any{},
			})
		},
		"its device": func(t *testing.T, r *reattachment) {
			must(t, r.c.RemoveInterface())
			r.mustTool(t, 0, "gc")
			must(t, r.found.Unchanged())
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReattachment(t, reattachments(t)[0], "ADD")
			r.must(t, "ADD", r.from.config)
			if !r.change(t, killAt(inTheGap())) {
				t.Fatal("ADD was not killed")
			}
			r.mustSee(t, untouched)
			remove(t, r)
			if name != "its device" {
				r.mustSee(t, untouched)
				r.mustBeClean(t)
			}
		})
	}
}

// inTheGap matches the call at which the container has no rules and its programs are
// detached: the removal of the first pin.
func inTheGap() func(ptrace.Call) bool {
	disabled := false
	return func(c ptrace.Call) bool {
		disabled = disabled || describe(c) == "bpf MAP_DELETE_ELEM"
		return disabled && c.Number == unix.SYS_UNLINKAT
	}
}

// TestReattachDevice kills ADD for a container that has a new device while the old one
// still exists. The rules are on one of the two. If they are on none, list reports
// that, and the next operation ends it.
func TestReattachDevice(t *testing.T) {
	for _, m := range []manner{{"generic", node.TCHook(t)}, {"tc", "clsact"}} {
		t.Run(m.String(), func(t *testing.T) {
			r := newReattachment(t, [2]manner{m, m}, "ADD")
			r.must(t, "ADD", r.from.config)
			renameInside(t, r.c, "eth0", "old0")
			r.layAnother(t, "other0")
			calls := 0
			r.change(t, func(c ptrace.Call) ptrace.Verdict {
				if changes(c) {
					calls++
				}
				return ptrace.Proceed
			})
			r.mustBeOnOneOf(t, "other0")
			for _, p := range onDevice(calls) {
				if !t.Run(fmt.Sprintf("%d/%s", p.n, p.next.name), func(t *testing.T) { r.killOnDevice(t, p) }) {
					return
				}
			}
			r.must(t, "DEL", r.to.config)
			must(t, r.found.Unchanged())
		})
	}
}

func onDevice(calls int) (points []point) {
	if os.Getenv("XDP_PORT_NIGHTLY") != "" {
		return eachFollowedByEach(calls)
	}
	for i := range chosen(8) {
		points = append(points, point{calls * (2*i + 1) / (2 * chosen(8)), followers[i%len(followers)]})
	}
	return points
}

// killOnDevice kills ADD on its way from the old device to the new one.
func (r *reattachment) killOnDevice(t *testing.T, p point) {
	t.Helper()
	renameInside(t, r.c, "eth0", "new0")
	renameInside(t, r.c, "old0", "eth0")
	r.must(t, "ADD", r.from.config)
	renameInside(t, r.c, "eth0", "old0")
	renameInside(t, r.c, "new0", "eth0")
	at := "nothing"
	killed := r.change(t, killAfter(p.n, &at))
	t.Logf("killed: %t, at call %d: %s", killed, p.n, at)
	if a := r.listed(t); a == nil {
		t.Fatal("list has nothing")
	}
	next := p.next
	if next.name == "apply" { // apply does not move a container
		next = followers[0]
	}
	next.run(t, r)
	r.mustBeOnOneOf(t, r.c.HostSide, "other0")
}

// mustBeOnOneOf expects the container to be attached to one of the devices.
func (w *world) mustBeOnOneOf(t *testing.T, devices ...string) {
	t.Helper()
	if a := w.listed(t); a == nil || !a.Healthy || !slices.Contains(devices, a.Device) {
		t.Fatalf("the container should be attached to one of %v, and list says %+v", devices, a)
	}
}

// layAnother gives the container another eth0.
func (r *reattachment) layAnother(t *testing.T, device string) {
	t.Helper()
	must(t, r.n.NS.Do(func(ns.NetNS) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = device
		return netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(r.c.NS.Fd())),
		})
	}))
}

func renameInside(t *testing.T, c *node.Container, from, to string) {
	t.Helper()
	must(t, c.NS.Do(func(ns.NetNS) error {
		link, err := netlink.LinkByName(from)
		if err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetDown(link), netlink.LinkSetName(link, to))
	}))
}

// TestReattachAfterTwo kills ADD after it has detached the container. Then it kills the
// operation that restores the container, or makes a call of it fail. The operation
// after that must restore it.
func TestReattachAfterTwo(t *testing.T) {
	step := 70
	if os.Getenv("XDP_PORT_NIGHTLY") != "" {
		step = 1
	}
	die := func(ptrace.Call) ptrace.Verdict { return ptrace.Kill }
	for name, meet := range map[string]func(ptrace.Call) ptrace.Verdict{"die": die, "fail": fail} {
		pairs := reattachments(t)
		for _, pair := range [][2]manner{pairs[0], pairs[len(pairs)-1]} {
			t.Run(fmt.Sprintf("%s/%s to %s", name, pair[0], pair[1]), func(t *testing.T) {
				r := newReattachment(t, pair, "ADD")
				for n, more := 0, true; more; n += step {
					more = r.restoreAfter(t, n, meet)
				}
			})
		}
	}
}

// restoreAfter disturbs the operation that restores the container at its n-th call, and
// reports whether it makes that many.
func (r *reattachment) restoreAfter(t *testing.T, n int, meet func(ptrace.Call) ptrace.Verdict) (more bool) {
	t.Helper()
	r.must(t, "ADD", r.from.config)
	if !r.change(t, killAt(inTheGap())) {
		t.Fatal("ADD was not killed")
	}
	calls, at := 0, "nothing"
	_, _ = r.tracedCall(t, r.another(t), func(c ptrace.Call) ptrace.Verdict {
		if !isRelevant(c) {
			return ptrace.Proceed
		}
		if calls++; calls-1 != n {
			return ptrace.Proceed
		}
		at = describe(c)
		return meet(c)
	})
	t.Logf("who restores meets with something at call %d: %s", n, at)
	r.mustSeeOrReport(t)
	r.runForAnother(t)
	r.mustSee(t, r.from.sight)
	r.mustBeHealthy(t)
	r.end(t)
	return calls > n
}
