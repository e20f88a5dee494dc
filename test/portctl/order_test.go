package portctl

import (
	"net/http"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/doctor"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/test/node"
)

// getAhead puts a foreign program that ends the chain ahead of xdp-port's, at one side of a
// device and the kind of hook that xdp-port uses. The returned function removes it.
func getAhead(t *testing.T, n *node.Node, ifindex int, side string) (leave func()) {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "stranger", Type: ebpf.SchedCLS, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()}, // TCX_PASS and TC_ACT_OK
	})
	must(t, err)
	t.Cleanup(func() { program.Close() })
	if node.HasTCX(t) {
		return getAheadAtTCX(t, n, ifindex, side, program)
	}
	parent := map[string]uint32{"ingress": netlink.HANDLE_MIN_INGRESS, "egress": netlink.HANDLE_MIN_EGRESS}[side]
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: ifindex, Parent: parent, Handle: 1, Priority: 1, Protocol: unix.ETH_P_ALL},
		Fd:          program.FD(), Name: "stranger", DirectAction: true,
	}
	must(t, n.NS.Do(func(ns.NetNS) error { return netlink.FilterAdd(filter) }))
	return func() {
		t.Helper()
		must(t, n.NS.Do(func(ns.NetNS) error { return netlink.FilterDel(filter) }))
	}
}

func getAheadAtTCX(t *testing.T, n *node.Node, ifindex int, side string, program *ebpf.Program) (leave func()) {
	t.Helper()
	at := map[string]ebpf.AttachType{"ingress": ebpf.AttachTCXIngress, "egress": ebpf.AttachTCXEgress}[side]
	var attached link.Link
	must(t, n.NS.Do(func(ns.NetNS) (err error) {
		attached, err = link.AttachTCX(link.TCXOptions{Interface: ifindex, Program: program, Attach: at, Anchor: link.Head()})
		return err
	}))
	t.Cleanup(func() { attached.Close() })
	return func() {
		t.Helper()
		must(t, attached.Detach())
	}
}

// TestForeignProgramAhead expects each command to report and name a foreign program ahead of
// ours, and to exit with 1.
func TestForeignProgramAhead(t *testing.T) {
	n := node.ForTest(t)
	list := conflist("lab", rewriteTo(7998))
	must(t, n.Conflist(list))
	c := attach(t, n)
	index := showJSON(t, n, c).Index
	metric := func(side, value string) string {
		return `xdp_port_foreign_programs_ahead{container="` + c.ID() + `",hook="tc_` + side + `",interface="eth0",network="lab"} ` + value
	}
	for _, side := range []string{"ingress", "egress"} {
		t.Run(side, func(t *testing.T) {
			leave := getAhead(t, n, index, side)
			for _, args := range [][]string{{"list"}, {"show", c.ID()}, {"doctor"}, {"apply", write(t, list)}} {
				text := portctl(t, n, args...).want(t, 1)
				for _, part := range []string{"stranger", "id ", side} {
					if !strings.Contains(text, part) {
						t.Errorf("%v lacks %q:\n%s", args, part, text)
					}
				}
			}
			a := decodeList[inspect.Attachment](t, portctl(t, n, "list", "-o", "json").want(t, 1), "attachments")[0]
			if a.Healthy || len(a.ForeignAhead) != 1 || a.ForeignAhead[0].Name != "stranger" ||
				a.ForeignAhead[0].Hook != "tc_"+side || a.ForeignAhead[0].Kind != a.TCHook || a.ForeignAhead[0].ID == 0 {
				t.Errorf("%+v", a)
			}
			findings := decodeList[doctor.Finding](t, portctl(t, n, "doctor", "-o", "json").want(t, 1), "findings")
			wantFinding(t, findings, "order at tc", doctor.Wrong, "stranger", a.Device, side)
			if text := portctl(t, n, "metrics").want(t, 0); !strings.Contains(text, metric(side, "1")) {
				t.Errorf("no %s in\n%s", metric(side, "1"), text)
			}
			leave()
			portctl(t, n, "list").want(t, 0)
			findings = decodeList[doctor.Finding](t, portctl(t, n, "doctor", "-o", "json").stdout, "findings")
			wantFinding(t, findings, "order at tc", doctor.Fine)
			if text := portctl(t, n, "metrics").want(t, 0); !strings.Contains(text, metric(side, "0")) {
				t.Errorf("no %s in\n%s", metric(side, "0"), text)
			}
		})
	}
}

// TestAgentForeignProgramAhead expects the agent to find a foreign program and not to be ready
// until it has gone. Without CAP_SYS_ADMIN the agent knows only the number of the program.
func TestAgentForeignProgramAhead(t *testing.T) {
	o := newTarget(t)
	o.configure(to7998)
	o.writeNetwork()
	portctl(t, o.Node, o.args("install", "--config", o.config)...).want(t, 0)
	c := attach(t, o.Node)
	a := startAgent(o)
	a.eventuallySays("/readyz", http.StatusOK, "ready")
	index := showJSON(t, o.Node, c).Index
	for _, side := range []string{"ingress", "egress"} {
		leave := getAhead(t, o.Node, index, side)
		a.eventuallySays("/readyz", http.StatusServiceUnavailable, "foreign-programs: interface eth0 of container "+c.ID())
		a.eventuallySays("/readyz", http.StatusServiceUnavailable, "tc_"+side)
		a.eventuallySays("/metrics", http.StatusOK, `xdp_port_agent_problem{subject="foreign-programs"} 1`)
		a.eventuallySays("/metrics", http.StatusOK, `hook="tc_`+side+`",interface="eth0",network="lab"} 1`)
		leave()
		a.eventuallySays("/readyz", http.StatusOK, "ready")
	}
	must(t, c.Detach("lab"))
	portctl(t, o.Node, o.args("uninstall")...).want(t, 0)
}
