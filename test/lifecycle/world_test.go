package lifecycle

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// manner is a mode and a tc hook.
type manner struct{ mode, hook string }

func (m manner) String() string { return m.mode + "-" + m.hook }

// manners are all that this kernel supports.
func manners(t testing.TB) []manner {
	hooks := []string{"clsact"}
	if node.HasTCX(t) {
		hooks = append(hooks, "tcx")
	}
	var all []manner
	for _, mode := range []string{"generic", "native", "tc"} {
		if !node.HasMode(t, mode) {
			continue
		}
		for _, hook := range hooks {
			all = append(all, manner{mode, hook})
		}
	}
	return all
}

// eachManner runs a test with each mode and hook.
func eachManner(t *testing.T, test func(*testing.T, manner)) {
	t.Helper()
	for _, m := range manners(t) {
		t.Run(m.String(), func(t *testing.T) { test(t, m) })
	}
}

// Ports of the rules. The target of a rule is this target plus the version.
const (
	egressPort, egressTarget   = 7999, 8000
	ingressPort, ingressTarget = 80, 8080
	versions                   = 3
)

// rules returns the rules of a version. Version 0 has none.
func rules(version int) []any {
	if version == 0 {
		return []any{}
	}
	rewrite := func(direction string, port, to int) any {
		return map[string]any{"direction": direction, "protocol": "udp", "port": port, "toPort": to}
	}
	drop := func(direction string, port int) any {
		return map[string]any{"direction": direction, "protocol": "udp", "port": port, "action": "drop"}
	}
	return []any{
		rewrite("egress", egressPort, egressTarget+version), rewrite("ingress", ingressPort, ingressTarget+version),
		rewrite("egress", streamPort, streamTarget+version), rewrite("ingress", streamPort, streamTarget+version),
		drop("egress", droppedPort), drop("ingress", droppedPort),
	}
}

// world is a node. The containers talk to its own address.
type world struct {
	*node.Node
	// containers is the node that owns the containers' namespaces.
	containers *node.Node
	pods       []*pod
	// hears is set if the node receives the datagrams of streams.
	hears bool
}

func newWorld(t testing.TB) *world {
	t.Helper()
	n := node.ForTest(t)
	w := &world{Node: n, containers: n}
	serve(t, n.NS, egressPort, egressTarget)
	return w
}

// serve answers at a port and at the targets of all versions with the port's number.
func serve(t testing.TB, in ns.NetNS, port, target int) {
	t.Helper()
	for _, port := range []int{port, target + 1, target + 2, target + 3} {
		server, err := node.UDPName(in, port)
		must(t, err)
		t.Cleanup(func() { server.Close() })
	}
}

// pod is a container with one interface.
type pod struct {
	*world
	id     string
	c      *node.Container
	number int
	// network is the name of the container's network.
	network string
	// device is the present name of the host side.
	device string
	// version is the version of the rules that the container should have.
	version int
	manner  manner
	// stream is nil if there is none.
	stream *stream
}

// pod makes a container. If index is 0, the kernel chooses the index of the host side.
func (w *world) pod(t testing.TB, device string, index int) *pod {
	t.Helper()
	c, err := w.containers.Container()
	must(t, err)
	p := &pod{
		world: w, c: c, number: len(w.pods) + 1, device: device, network: "lab",
		id: fmt.Sprintf("pod%d-%s", len(w.pods)+1, c.ID()),
	}
	w.pods = append(w.pods, p)
	p.lay(t, index)
	serve(t, c.NS, ingressPort, ingressTarget)
	return p
}

// lay makes the veth pair.
func (p *pod) lay(t testing.TB, index int) {
	t.Helper()
	must(t, p.NS.Do(func(ns.NetNS) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Index = p.device, index
		if err := netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(p.c.NS.Fd())),
		}); err != nil {
			return err
		}
		return setUp(p.device, p.address(1))
	}))
	must(t, p.c.NS.Do(func(ns.NetNS) error { return setUp("eth0", p.address(2)) }))
}

func setUp(device string, address netip.Addr) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: &net.IPNet{IP: address.AsSlice(), Mask: net.CIDRMask(24, 32)}}); err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// address is the address of the host side, 1, or of the container, 2.
func (p *pod) address(end byte) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 78, byte(p.number), end})
}

// onHost calls a function with the host side.
func (p *pod) onHost(t testing.TB, do func(netlink.Link) error) {
	t.Helper()
	must(t, p.NS.Do(func(ns.NetNS) error {
		link, err := netlink.LinkByName(p.device)
		if err != nil {
			return err
		}
		return do(link)
	}))
}

func (p *pod) index(t testing.TB) (index int) {
	t.Helper()
	p.onHost(t, func(link netlink.Link) error {
		index = link.Attrs().Index
		return nil
	})
	return index
}

func (p *pod) rename(t testing.TB, name string) {
	t.Helper()
	p.onHost(t, func(link netlink.Link) error {
		err := netlink.LinkSetName(link, name)
		if errors.Is(err, unix.EBUSY) { // Linux 6.2 is the first to rename a device that is up
			err = errors.Join(netlink.LinkSetDown(link), netlink.LinkSetName(link, name), netlink.LinkSetUp(link))
		}
		return err
	})
	p.device = name
}

func (p *pod) removeDevice(t testing.TB) {
	t.Helper()
	if p.stream != nil {
		p.stream.begin()
	}
	p.onHost(t, netlink.LinkDel)
}

// entry is the plugin's entry in the configuration.
func entry(network string, version int, m manner) map[string]any {
	return map[string]any{
		"cniVersion": "1.1.0", "name": network, "type": "xdp-port", "mode": m.mode, "tcHook": m.hook, "rules": rules(version),
		"prevResult": map[string]any{"cniVersion": "1.1.0"},
	}
}

// operation runs an operation of the plugin. It returns the code and the message of its
// error, or 0.
func (p *pod) operation(t testing.TB, operation string, config map[string]any) (code uint, message string) {
	t.Helper()
	stdin := jsonOf(t, config)
	call := node.Call{Operation: operation, ContainerID: p.id, NetNS: p.c.NS.Path(), IfName: "eth0", Stdin: stdin}
	if operation == "GC" {
		call = node.Call{Operation: operation, Stdin: stdin}
	}
	answer, err := p.Call(call)
	must(t, err)
	if answer.Refusal == nil {
		return 0, ""
	}
	return answer.Refusal.Code, answer.Refusal.Error()
}

func jsonOf(t testing.TB, value any) []byte {
	t.Helper()
	text, err := json.Marshal(value)
	must(t, err)
	return text
}

func (p *pod) must(t testing.TB, operation string, config map[string]any) {
	t.Helper()
	if code, message := p.operation(t, operation, config); code != 0 {
		t.Fatalf("%s of %s: code %d: %s", operation, p.id, code, message)
	}
}

func (p *pod) add(t testing.TB, version int, m manner) {
	t.Helper()
	p.changing(version, m)
	p.must(t, "ADD", entry(p.network, version, m))
	p.version, p.manner = version, m
	p.changed()
}

func (p *pod) check(t testing.TB) (code uint, message string) {
	t.Helper()
	return p.operation(t, "CHECK", entry(p.network, p.version, p.manner))
}

func (p *pod) del(t testing.TB) {
	t.Helper()
	p.changing(0, p.manner)
	p.must(t, "DEL", entry(p.network, 0, manner{"auto", "auto"}))
	p.version = 0
}

// collect runs GC of the network lab with these valid attachments.
func (w *world) collect(t testing.TB, valid ...*pod) {
	t.Helper()
	list := []any{}
	for _, p := range valid {
		list = append(list, map[string]any{"containerID": p.id, "ifname": "eth0"})
	}
	stdin, err := json.Marshal(map[string]any{
		"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port", "rules": []any{}, "cni.dev/valid-attachments": list,
	})
	must(t, err)
	answer, err := w.Call(node.Call{Operation: "GC", Stdin: stdin})
	must(t, err)
	if answer.Refusal != nil {
		t.Fatal(answer.Refusal)
	}
}

// sight is the ports that packets to 7999 and to 80 arrive at.
type sight struct{ egress, ingress string }

func (p *pod) look(t testing.TB) (s sight) {
	t.Helper()
	s.egress = ask(t, p.c.NS, netip.AddrPortFrom(p.address(1), egressPort))
	s.ingress = ask(t, p.NS, netip.AddrPortFrom(p.address(2), ingressPort))
	return s
}

// ask sends until an answer arrives. The socket is connected, so the answer must come
// from the port that ask sends to.
func ask(t testing.TB, from ns.NetNS, to netip.AddrPort) string {
	t.Helper()
	conn, err := node.DialUDP(from, to)
	must(t, err)
	defer conn.Close()
	for range 3 {
		_, err = conn.Write([]byte("where?"))
		must(t, err)
		must(t, conn.SetReadDeadline(time.Now().Add(pace.Patience(500*time.Millisecond))))
		answer := make([]byte, 100)
		if n, err := conn.Read(answer); err == nil {
			return string(answer[:n])
		}
	}
	return "nothing"
}

func sightOf(version int) sight {
	if version == 0 {
		return sight{fmt.Sprint(egressPort), fmt.Sprint(ingressPort)}
	}
	return sight{fmt.Sprint(egressTarget + version), fmt.Sprint(ingressTarget + version)}
}

// mustBeRight expects the container to have its rules.
func (p *pod) mustBeRight(t testing.TB) {
	t.Helper()
	if saw := p.look(t); saw != sightOf(p.version) {
		t.Fatalf("the packets of %s on %s arrive at %+v, should at %+v", p.id, p.device, saw, sightOf(p.version))
	}
}

// listed is an attachment in list.
type listed struct {
	Network, Container, Device, Mode, TCHook string
	Healthy, Gone                            bool
	Problems                                 []string
}

// list returns the attachments in list.
func (w *world) list(t testing.TB) []listed {
	t.Helper()
	stdout, _, code := w.tool(t, "list", "-o", "json")
	var document struct{ Attachments []listed }
	if err := json.Unmarshal(stdout, &document); err != nil {
		t.Fatalf("list says %s: %v", stdout, err)
	}
	sick := slices.ContainsFunc(document.Attachments, func(l listed) bool { return !l.Healthy })
	if code != 0 && !sick || code == 0 && sick {
		t.Errorf("list exits with %d: %s", code, stdout)
	}
	return document.Attachments
}

// listedAs returns the container's attachment in list, or nil.
func (p *pod) listedAs(t testing.TB) *listed {
	t.Helper()
	list := p.list(t)
	i := slices.IndexFunc(list, func(l listed) bool { return l.Container == p.id })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// mustList expects list to have these containers, all of them healthy.
func (w *world) mustList(t testing.TB, want ...*pod) {
	t.Helper()
	list := w.list(t)
	if len(list) != len(want) {
		t.Fatalf("list has %d attachments, should have %d: %+v", len(list), len(want), list)
	}
	for _, p := range want {
		if l := p.listedAs(t); l == nil || !l.Healthy || l.Device != p.device {
			t.Fatalf("list says of %s on %s: %+v", p.id, p.device, l)
		}
	}
}

// tool runs the operator's tool.
func (w *world) tool(t testing.TB, args ...string) (stdout, stderr []byte, code int) {
	t.Helper()
	return w.RunTool(t, node.ToolCommand(t, args...))
}

func (w *world) mustTool(t testing.TB, args ...string) []byte {
	t.Helper()
	stdout, stderr, code := w.tool(t, args...)
	if code != 0 {
		t.Fatalf("%v exits with %d: %s%s", args, code, stdout, stderr)
	}
	return stdout
}

// apply applies a version of the rules to all containers of the network.
func (w *world) apply(t testing.TB, version int, m manner) {
	t.Helper()
	for _, p := range w.attached() {
		p.changing(version, m)
	}
	w.mustTool(t, "apply", conflist(t, version, m))
	for _, p := range w.attached() {
		p.version, p.manner = version, m
		p.changed()
	}
}

// attached are the containers that apply reaches.
func (w *world) attached() (attached []*pod) {
	for _, p := range w.pods {
		if p.version != 0 && p.network == "lab" {
			attached = append(attached, p)
		}
	}
	return attached
}

func conflist(t testing.TB, version int, m manner) string {
	t.Helper()
	return node.ConflistOf(t, entry("lab", version, m))
}

// mustBeClean expects no state.
func mustBeClean(t testing.TB) {
	t.Helper()
	if left := node.State(); len(left) > 0 {
		must(t, os.RemoveAll(node.StateFolder)) // do not disturb the next test
		t.Fatalf("%d paths are left, the last one %s", len(left), left[len(left)-1])
	}
}
