package portctl

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/test/node"
)

// rewriteTo are the rules that the tests of apply replace.
func rewriteTo(port int) object {
	return object{"protocol": "udp", "port": 7999, "toPort": port, "name": "main"}
}

// applied is apply's result for one interface.
type applied struct {
	Container, Outcome, Error, Difference string
	DryRun                                bool
}

func TestApplyUnderTraffic(t *testing.T) {
	const containers = 100
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	attached := attachAll(t, n, containers)
	arrivals := watchArrivals(t, n, 7997, 7998, 7999)
	stop := sendAlways(t, attached)
	arrivals.awaitEach(t, attached, 7998)

	next := write(t, conflist("lab", rewriteTo(7997)))
	dry := decodeList[applied](t, portctl(t, n, "apply", next, "--dry-run", "-o", "json").want(t, 0), "changes")
	for _, a := range dry {
		if a.Outcome != "changed" || !a.DryRun || !strings.Contains(a.Difference, "-main: egress udp 7999 -> 7998\n+main: egress udp 7999 -> 7997\n") {
			t.Fatalf("%+v", a)
		}
	}
	if len(dry) != containers || arrivals.count(7997) > 0 {
		t.Fatalf("--dry-run says %d would change, and %d packets went by new rules", len(dry), arrivals.count(7997))
	}
	start := time.Now()
	done := decodeList[applied](t, portctl(t, n, "apply", next, "-o", "json").want(t, 0), "changes")
	t.Logf("%d containers in %s", len(done), time.Since(start))
	for _, a := range done {
		if a.Outcome != "changed" {
			t.Errorf("%+v", a)
		}
	}
	arrivals.awaitEach(t, attached, 7997)
	sent := stop()
	time.Sleep(100 * time.Millisecond) // for what is not read yet
	arrivals.wantOneSwitch(t, attached, 7998, 7997)
	if got := arrivals.count(7999); got > 0 {
		t.Errorf("%d of %d packets went under no rules", got, sent)
	}
	t.Logf("%d packets sent, %d by the old rules, %d by the new", sent, arrivals.count(7998), arrivals.count(7997))
	for _, a := range decodeList[applied](t, portctl(t, n, "apply", next, "-o", "json").want(t, 0), "changes") {
		if a.Outcome != "unchanged" {
			t.Errorf("again: %+v", a)
		}
	}
	portctl(t, n, "list").want(t, 0)
}

func attachAll(t *testing.T, n *node.Node, count int) []*node.Container {
	t.Helper()
	const atOnce = 8
	containers, failed := make([]*node.Container, count), make(chan error, count)
	places := make(chan bool, atOnce)
	for i := range containers {
		c, err := n.Container()
		must(t, err)
		containers[i] = c
		places <- true
		go func() {
			_, err := c.Attach("lab")
			<-places
			failed <- err
		}()
	}
	for range containers {
		must(t, <-failed)
	}
	return containers
}

// sendAlways sends numbered datagrams from each container to port 7999, one every few
// milliseconds. The returned function stops them and returns how many there were.
func sendAlways(t *testing.T, containers []*node.Container) (stop func() int) {
	t.Helper()
	end := make(chan struct{})
	var senders sync.WaitGroup
	sent := make([]int, len(containers))
	for i, c := range containers {
		conn, err := node.DialUDP(c.NS, far(7999))
		must(t, err)
		senders.Go(func() {
			defer conn.Close()
			for {
				select {
				case <-end:
					return
				case <-time.After(5 * time.Millisecond):
				}
				message := binary.BigEndian.AppendUint32(nil, uint32(i))
				if _, err := conn.Write(binary.BigEndian.AppendUint32(message, uint32(sent[i]))); err == nil {
					sent[i]++
				}
			}
		})
	}
	var once sync.Once
	stop = func() (total int) {
		once.Do(func() { close(end); senders.Wait() })
		for _, count := range sent {
			total += count
		}
		return total
	}
	t.Cleanup(func() { stop() })
	return stop
}

// arrivals are the numbers of the datagrams that arrived at the far host's ports.
type arrivals struct {
	mutex sync.Mutex
	// at has the first and the last number, by port and container.
	at     map[int]map[uint32][2]uint32
	counts map[int]int
}

func watchArrivals(t *testing.T, n *node.Node, ports ...int) *arrivals {
	t.Helper()
	a := &arrivals{at: map[int]map[uint32][2]uint32{}, counts: map[int]int{}}
	for _, port := range ports {
		a.at[port] = map[uint32][2]uint32{}
		conn, err := node.ListenUDP(n.Far, port)
		must(t, err)
		must(t, conn.SetReadBuffer(8<<20))
		t.Cleanup(func() { conn.Close() })
		go func() {
			message := make([]byte, 100)
			for {
				if count, err := conn.Read(message); err != nil {
					return
				} else if count == 8 {
					a.add(port, binary.BigEndian.Uint32(message), binary.BigEndian.Uint32(message[4:]))
				}
			}
		}()
	}
	return a
}

func (a *arrivals) add(port int, container, number uint32) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.counts[port]++
	span, known := a.at[port][container]
	if !known {
		span = [2]uint32{number, number}
	}
	a.at[port][container] = [2]uint32{min(span[0], number), max(span[1], number)}
}

func (a *arrivals) count(port int) int {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.counts[port]
}

// awaitEach waits until a datagram of each container has arrived at a port. A busy machine may
// delay one of many senders for long.
func (a *arrivals) awaitEach(t *testing.T, containers []*node.Container, port int) {
	t.Helper()
	eventually(t, func() string {
		a.mutex.Lock()
		defer a.mutex.Unlock()
		for i := range containers {
			if _, known := a.at[port][uint32(i)]; !known {
				return fmt.Sprintf("nothing of container %d arrives at %d", i, port)
			}
		}
		return ""
	})
}

// wantOneSwitch expects the last datagram of each container at the old port to precede the
// first at the new port.
func (a *arrivals) wantOneSwitch(t *testing.T, containers []*node.Container, before, after int) {
	t.Helper()
	a.mutex.Lock()
	defer a.mutex.Unlock()
	for i := range containers {
		old, hadOld := a.at[before][uint32(i)]
		fresh, hadFresh := a.at[after][uint32(i)]
		if !hadOld || !hadFresh || old[1] >= fresh[0] {
			t.Errorf("container %d: %v at %d, %v at %d", i, old, before, fresh, after)
		}
	}
}

// TestInvalidChangesNothing applies invalid rules, and rules that conflict with a container's
// own rules.
func TestInvalidChangesNothing(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	before := showJSON(t, n, c)
	for what, rules := range map[string][]object{
		"an error in the last rule": {rewriteTo(7997), {"protocol": "udp", "port": 70000, "action": "drop"}},
		"no rules":                  {},
	} {
		out := portctl(t, n, "apply", write(t, conflist("lab", rules...)))
		out.want(t, 1)
		if out.stderr == "" {
			t.Errorf("%s: nothing is said", what)
		}
	}
	after := showJSON(t, n, c)
	if before.Ruleset != after.Ruleset || fmt.Sprint(before.Programs) != fmt.Sprint(after.Programs) {
		t.Errorf("%+v became %+v", before, after)
	}
	portctl(t, n, "apply", write(t, conflist("other", rewriteTo(7997)))).want(t, 1)
	if now := showJSON(t, n, c); now.Ruleset != before.Ruleset {
		t.Error("another network's rules were applied")
	}
	portctl(t, n, "apply", "--detach", write(t, conflist("lab"))).want(t, 0)
	portctl(t, n, "show", c.ID()).want(t, 1)
}

// TestTotalsGoOn applies other rules and expects the counts to continue.
func TestTotalsGoOn(t *testing.T) {
	n := node.ForTest(t)
	rules := func(port int) object {
		return conflist("lab", rewriteTo(port), object{"protocol": "udp", "port": 25, "action": "drop", "name": fmt.Sprint("drop-", port)})
	}
	must(t, n.Conflist(rules(7998)))
	c := attach(t, n)
	send(t, c, 7999, 1000)
	send(t, c, 25, 100)
	portctl(t, n, "apply", write(t, rules(7997))).want(t, 0)
	send(t, c, 7999, 10)
	send(t, c, 25, 1)
	a := showJSON(t, n, c)
	if a.Counters.Rewritten != 1010 || a.Counters.Dropped != 101 || a.Rules[0].Packets != 1010 || a.Rules[1].Packets != 1 {
		t.Errorf("%+v %+v", a.Counters, a.Rules)
	}
	stats := decode[inspect.Stats](t, portctl(t, n, "stats", "-i", "0", "-o", "json").want(t, 0))
	if stats.Total.Rewritten < 1010 || stats.Total.Dropped < 101 {
		t.Errorf("%+v", stats.Total)
	}
}

// TestContainersRulesStay applies other rules to a network with a container that has its own
// rules.
func TestContainersRulesStay(t *testing.T) {
	n := node.ForTest(t)
	list := func(rules ...object) object {
		list := conflist("lab", rules...)
		list["plugins"].([]any)[1].(object)["capabilities"] = object{"xdpPortRules": true}
		return list
	}
	must(t, n.Conflist(list(rewriteTo(7998))))
	c, err := n.Container()
	must(t, err)
	c.CapArgs = `{"xdpPortRules": [{"protocol": "udp", "port": 6000, "toPort": 6001, "name": "own"}]}`
	_, err = c.Attach("lab")
	must(t, err)
	portctl(t, n, "apply", write(t, list(rewriteTo(7997)))).want(t, 0)
	a := showJSON(t, n, c)
	if len(a.Rules) != 2 || a.Rules[0].ToPort.First != 7997 || a.Rules[1].Name != "own" || a.Rules[1].ToPort.First != 6001 {
		t.Errorf("%+v", a.Rules)
	}
	// The container's rule would bypass this rule of the network.
	out := portctl(t, n, "apply", write(t, list(object{"protocol": "udp", "port": 6001, "action": "drop"})))
	out.want(t, 1)
	if !strings.Contains(out.stderr, "6001") {
		t.Errorf("%s", out.stderr)
	}
	if again := showJSON(t, n, c); again.Ruleset != a.Ruleset {
		t.Error("the rules were changed all the same")
	}
}

// TestGC removes a container's veth without the plugin.
func TestGC(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	stays, goes := attach(t, n), attach(t, n)
	must(t, goes.RemoveInterface())
	portctl(t, n, "list").want(t, 1)
	dry := portctl(t, n, "gc", "--dry-run", "-o", "json")
	if gone := decodeList[applied](t, dry.want(t, 1), "attachments"); len(gone) != 1 || gone[0].Container != goes.ID() {
		t.Fatalf("%+v", gone)
	}
	if gone := decodeList[applied](t, portctl(t, n, "gc", "-o", "json").want(t, 0), "attachments"); len(gone) != 1 || gone[0].Container != goes.ID() {
		t.Fatalf("%+v", gone)
	}
	portctl(t, n, "gc", "--dry-run").want(t, 0)
	portctl(t, n, "list").want(t, 0)
	showJSON(t, n, stays)
	if left, _ := filepath.Glob(node.StateFolder + "/rulesets/*/attachments/*/" + goes.ID()); len(left) > 0 {
		t.Errorf("%v is still there", left)
	}
}

// TestDamageIsFixed detaches a link, which apply must attach again. Then it removes the record,
// which apply cannot replace.
func TestDamageIsFixed(t *testing.T) {
	n := node.ForTest(t)
	list := write(t, conflist("lab", rewriteTo(7998)))
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	a := showJSON(t, n, c)
	folder := filepath.Join(node.StateFolder, "rulesets", a.Ruleset, "attachments", "lab", c.ID(), c.IfName)
	must(t, os.Remove(folder+"/xdp"))
	if text := portctl(t, n, "apply", "--dry-run", list).want(t, 0); !strings.Contains(text, "would be repaired") {
		t.Errorf("%s", text)
	}
	portctl(t, n, "list").want(t, 1)
	portctl(t, n, "apply", list).want(t, 0)
	portctl(t, n, "list").want(t, 0)
	must(t, os.Remove(folder+"/record"))
	if text := portctl(t, n, "apply", "--dry-run", list).want(t, 1); !strings.Contains(text, "cannot be changed") {
		t.Errorf("%s", text)
	}
	portctl(t, n, "apply", list).want(t, 1)
}

// TestDeviceRenamed renames the host side and expects the tool to report that.
func TestDeviceRenamed(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	before := showJSON(t, n, c)
	must(t, n.NS.Do(func(ns.NetNS) error {
		device, err := netlinksafe.LinkByName(before.Device)
		if err != nil {
			return err
		}
		return netlink.LinkSetName(device, "renamed")
	}))
	if a := showJSON(t, n, c); a.Device != "renamed" {
		t.Errorf("%q is the host side", a.Device)
	}
	if text := portctl(t, n, "doctor", "-o", "wide").stdout; !strings.Contains(text, "on all 1 host sides") {
		t.Errorf("%s", text)
	}
}

// TestHalfDead removes pins one by one and expects the tool to show the rest.
func TestHalfDead(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	a := showJSON(t, n, c)
	folder := filepath.Join(node.StateFolder, "rulesets", a.Ruleset, "attachments", "lab", c.ID(), c.IfName)
	stats := 0 // the exit code
	for _, pin := range []string{
		folder + "/tc_egress", folder + "/xdp", folder + "/../../../../description", folder + "/../../../../flows",
		folder + "/../../../../counters", folder + "/record", folder + "/tc_ingress",
	} {
		must(t, os.Remove(pin))
		for _, args := range [][]string{
			{"list"}, {"list", "-o", "json"}, {"show", c.ID()}, {"show", c.ID(), "-o", "json"},
		} {
			out := portctl(t, n, args...)
			if text := out.want(t, 1); !strings.Contains(text, "lab") {
				t.Errorf("without %s %v prints %q", filepath.Base(pin), args, text)
			}
		}
		if filepath.Base(pin) == "counters" {
			stats = 1 // unreadable counters are not shown as zero
		}
		for _, args := range [][]string{{"stats", "-i", "0"}, {"stats", "-i", "0", "-o", "json"}} {
			portctl(t, n, args...).want(t, stats)
		}
	}
	t.Log(portctl(t, n, "list").stdout)
	portctl(t, n, "gc").want(t, 0)
}

// TestApplyToAnotherNetwork expects the names of the networks that have containers.
func TestApplyToAnotherNetwork(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	before := showJSON(t, n, c)
	other := write(t, conflist("lap", rewriteTo(7997)))
	for _, args := range [][]string{{"apply", other}, {"apply", other, "--dry-run"}, {"apply", other, "-o", "json"}} {
		out := portctl(t, n, args...)
		if out.code != 1 || !strings.Contains(out.stderr, `"lap"`) || !strings.Contains(out.stderr, "containers of lab\n") {
			t.Errorf("%v: %+v", args, out)
		}
	}
	if after := showJSON(t, n, c); after.Ruleset != before.Ruleset {
		t.Error("the rules were changed all the same")
	}
}
