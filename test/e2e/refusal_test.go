package e2e

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/veth"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// plugin runs an operation of the plugin, as a runtime would, and returns its error.
func plugin(t *testing.T, c *node.Container, operation string, config map[string]any) *types.Error {
	t.Helper()
	refusal, err := c.Plugin(operation, config)
	must(t, err)
	return refusal
}

// direct is a configuration on the plugin's stdin.
func direct(rules []any) map[string]any {
	return map[string]any{
		"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port", "rules": rules,
		"prevResult": map[string]any{"cniVersion": "1.1.0"},
	}
}

func wantRefusal(t *testing.T, got *types.Error, code uint, parts ...string) {
	t.Helper()
	if got == nil {
		t.Fatalf("it succeeded, should fail with code %d", code)
	}
	if got.Code != code {
		t.Errorf("the code is %d, should be %d: %s", got.Code, code, got.Msg)
	}
	for _, part := range parts {
		if !strings.Contains(got.Msg, part) {
			t.Errorf("the message %q lacks %q", got.Msg, part)
		}
	}
}

// bare makes a container with an interface but without xdp-port.
func bare(t *testing.T, n *node.Node) *node.Container {
	t.Helper()
	must(t, n.Conflist(map[string]any{
		"cniVersion": "1.1.0", "name": "plain", "plugins": []any{mainPlugin("bridge")},
	}))
	return attach(t, n, "plain")
}

// TestAnotherAttachmentIsLeftAlone runs ADD for an interface that another container ID has already
// attached, with the same rules and without DEL.
func TestAnotherAttachmentIsLeftAlone(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	hooks := []string{"clsact"}
	if node.HasTCX(t) {
		hooks = append(hooks, "tcx")
	}
	before := node.State()
	for _, mode := range []string{"generic", "tc"} {
		for _, hook := range hooks {
			t.Run(mode+"/"+hook, func(t *testing.T) {
				node.NeedMode(t, mode)
				config, another := direct(tutorial()), direct(tutorial())
				config["mode"], config["tcHook"] = mode, hook
				another["mode"], another["tcHook"], another["name"] = mode, hook, "another"
				if refused := plugin(t, c, "ADD", config); refused != nil {
					t.Fatal(refused)
				}
				wantRefusal(t, plugin(t, c, "ADD", another), 104, "already under the rules of another network or container ID", "run DEL first for interface", "in network lab")
				for _, operation := range []string{"CHECK", "DEL"} {
					if refused := plugin(t, c, operation, config); refused != nil {
						t.Errorf("%s: %v", operation, refused)
					}
				}
				must(t, before.Unchanged())
			})
		}
	}
}

func TestForeignProgramIsLeftAlone(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	foreign := foreignProgram(t)
	config := direct(tutorial())
	before := node.State()
	for mode, flags := range map[string]link.XDPAttachFlags{"generic": link.XDPGenericMode, "native": link.XDPDriverMode} {
		t.Run(mode, func(t *testing.T) {
			node.NeedMode(t, mode)
			attached := attachToHost(t, n, c, foreign, flags)
			config["mode"] = mode
			wantRefusal(t, plugin(t, c, "ADD", config), 104, "foreign", "id ", "eth0", "direct")
			info, err := attached.Info()
			must(t, err)
			if info.XDP().Ifindex == 0 {
				t.Error("the other program was detached")
			}
			must(t, attached.Close())
		})
	}
	must(t, before.Unchanged())
}

// TestForeignProgramMakesAutoTC expects auto to work without XDP if a foreign XDP program is
// attached, and not to change when that goes.
func TestForeignProgramMakesAutoTC(t *testing.T) {
	node.NeedMode(t, "generic") // on PREEMPT_RT auto is always tc
	n := node.ForTest(t)
	c := bare(t, n)
	serve(t, n.Far, 7998)
	before := node.State()
	foreign := foreignProgram(t)
	config := direct(tutorial())
	for _, flags := range []link.XDPAttachFlags{link.XDPGenericMode, link.XDPDriverMode} {
		attached := attachToHost(t, n, c, foreign, flags)
		wantSuccess(t, plugin(t, c, "ADD", config))
		wantMode := func(mode datapath.Mode) {
			t.Helper()
			must(t, node.ExchangeUDP(c.NS, far("IPv4", 7999), node.Sizes(10, 0, 1000)))
			wantSuccess(t, plugin(t, c, "CHECK", config))
			record, err := attachment.Folder(directAttachment(t, c)).Record()
			must(t, err)
			if record.Mode != mode {
				t.Errorf("the mode is %s, should be %s", record.Mode, mode)
			}
		}
		wantMode(datapath.TC)
		config["rules"] = append(tutorial(), rule("protocol", "udp", "port", 25, "action", "drop"))
		wantSuccess(t, plugin(t, c, "ADD", config))
		wantMode(datapath.TC)
		info, err := attached.Info()
		must(t, err)
		if info.XDP().Ifindex == 0 {
			t.Error("the other program was detached")
		}
		must(t, attached.Close())

		wantSuccess(t, plugin(t, c, "ADD", config))
		wantMode(datapath.TC)
		config["mode"] = "generic"
		wantRefusal(t, plugin(t, c, "CHECK", config), 100, "the mode is tc")
		wantSuccess(t, plugin(t, c, "ADD", config))
		wantMode(datapath.Generic)
		config["mode"] = "auto"
		wantSuccess(t, plugin(t, c, "ADD", config))
		wantMode(datapath.Generic)
		wantSuccess(t, plugin(t, c, "DEL", config))
		config["rules"] = tutorial()
		must(t, before.Unchanged())
	}
}

// foreignProgram loads an XDP program that passes all packets.
func foreignProgram(t *testing.T) *ebpf.Program {
	t.Helper()
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Name: "foreign", Type: ebpf.XDP, License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()},
	})
	must(t, err)
	t.Cleanup(func() { program.Close() })
	return program
}

// attachToHost waits until the program of the other mode has gone. That takes some time for closed
// or unpinned links.
func attachToHost(t *testing.T, n *node.Node, c *node.Container, program *ebpf.Program, flags link.XDPAttachFlags) (attached link.Link) {
	t.Helper()
	must(t, n.NS.Do(func(ns.NetNS) error {
		pair, err := veth.HostSide(c.NS.Path(), c.IfName)
		if err != nil {
			return err
		}
		for deadline := time.Now().Add(pace.Patience(5 * time.Second)); ; time.Sleep(5 * time.Millisecond) {
			attached, err = link.AttachXDP(link.XDPOptions{Program: program, Interface: pair.Host.Index, Flags: flags})
			isTaken := errors.Is(err, unix.EBUSY) || errors.Is(err, unix.EEXIST)
			if !isTaken || time.Now().After(deadline) {
				return err
			}
		}
	}))
	return attached
}

func TestErrorsAttachNothing(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	before := node.State()
	wantRefusal(t, plugin(t, c, "ADD", direct([]any{
		rule("protocol", "udp", "port", 7999, "toPort", 70000),
		rule("protocol", "sctp", "port", 1, "toPort", 2),
	})), 7, "rules[0].toPort: 70000 is not a port (1-65535)", "rules[1].protocol")
	must(t, before.Unchanged())
}

func TestUnfitInterface(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	before := node.State()
	config := direct(tutorial())
	missing := *c
	missing.IfName = "eth7"
	wantRefusal(t, plugin(t, &missing, "ADD", config), 101, "eth7")
	loopback := *c
	loopback.IfName = "lo"
	wantRefusal(t, plugin(t, &loopback, "ADD", config), 101, "lo")
	host := *c
	host.NS = n.NS
	host.IfName = node.ToFar
	wantRefusal(t, plugin(t, &host, "ADD", config), 8, "host's own")
	must(t, before.Unchanged())
}

func TestNativeModeNamesTheFix(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	config := direct(tutorial())
	config["mode"] = "offload"
	wantRefusal(t, plugin(t, c, "ADD", config), 103, "offload", `"mode"`)
}

func TestNoRules(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	before := node.State()
	if refusal := plugin(t, c, "ADD", direct([]any{})); refusal != nil {
		t.Error(refusal)
	}
	must(t, before.Unchanged())
}

func TestPrevResultIsNeeded(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	config := direct(tutorial())
	delete(config, "prevResult")
	wantRefusal(t, plugin(t, c, "ADD", config), 7, "prevResult")
	if refusal := plugin(t, c, "DEL", config); refusal != nil {
		t.Error(refusal)
	}
}
