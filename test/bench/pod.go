package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/bench/internal/memgroup"
	"github.com/xdp-port/xdp-port/test/bench/internal/traffic"
	"github.com/xdp-port/xdp-port/test/node"
)

// pod is a container with only a veth, made without plugins.
type pod struct {
	*node.Container
	node *node.Node
	host netlink.Link
	// group is charged for the plugins' objects, unless it is nil.
	group *memgroup.Group
	// ordinary makes plugins run with the priority of other processes.
	ordinary bool
	// added is the plugins that still need a DEL.
	added []plugin
}

// plugin is a CNI plugin with a configuration.
type plugin struct {
	path   string // of the binary
	config map[string]any
}

// newNode makes a node that is closed after the comparison.
func (b *bench) newNode() (*node.Node, error) {
	n, err := node.New()
	if err == nil {
		b.later(n.Close)
	}
	return n, err
}

// newPod makes a container on a node. Only one pod per node has addresses.
func (b *bench) newPod(n *node.Node, addressed bool) (*pod, error) {
	c, err := n.Container()
	if err != nil {
		return nil, err
	}
	p := &pod{Container: c, node: n}
	b.later(p.close)
	b.pods++
	name := fmt.Sprint("pod", b.pods)
	err = n.NS.Do(func(ns.NetNS) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		err := netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: c.IfName, PeerNamespace: netlink.NsFd(int(c.NS.Fd())),
		})
		if err != nil {
			return fmt.Errorf("make the veth %s: %w", name, err)
		}
		p.host, err = setUp(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	err = c.NS.Do(func(ns.NetNS) error {
		_, err := setUp(c.IfName)
		return err
	})
	if err != nil || !addressed {
		return p, err
	}
	return p, p.giveAddresses()
}

func setUp(name string) (netlink.Link, error) {
	device, err := netlink.LinkByName(name)
	if err != nil {
		return nil, err
	}
	return device, netlink.LinkSetUp(device)
}

// giveAddresses gives both ends of the veth addresses of both families, and the pod default routes.
func (p *pod) giveAddresses() error {
	for _, f := range families {
		err := errors.Join(
			p.node.NS.Do(func(ns.NetNS) error { return addAddress(p.host.Attrs().Name, f.gateway) }),
			p.NS.Do(func(ns.NetNS) error {
				if err := addAddress(p.IfName, f.pod); err != nil {
					return err
				}
				return netlink.RouteAdd(&netlink.Route{Gw: f.gateway.Addr().AsSlice()})
			}),
		)
		if err != nil {
			return fmt.Errorf("give %s %s addresses: %w", p.host.Attrs().Name, f.name, err)
		}
	}
	return nil
}

func addAddress(device string, address netip.Prefix) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	parsed, err := netlink.ParseAddr(address.String())
	if err != nil {
		return err
	}
	return netlink.AddrAdd(link, parsed)
}

// xdpPortPlugin is xdp-port with options of its configuration.
func xdpPortPlugin(options map[string]any) plugin {
	return plugin{"xdp-port", options}
}

// binary is the path of the plugin's binary.
func (p plugin) binary() (string, error) {
	dir, err := node.BinDir()
	if err != nil {
		return "", err
	}
	if strings.HasPrefix(p.path, "xdp-port") {
		return filepath.Join(dir, p.path), nil
	}
	return filepath.Join(dir, "cni", p.path), nil
}

// stdin is the configuration as a runtime would pass it.
func (p plugin) stdin(in ns.NetNS) ([]byte, error) {
	config := map[string]any{
		"cniVersion": "1.0.0", "name": "bench", "type": p.path,
		"prevResult": map[string]any{
			"cniVersion": "1.0.0",
			"interfaces": []any{map[string]any{"name": "eth0", "sandbox": in.Path()}},
			"ips":        []any{map[string]any{"address": ipv4.pod.String(), "interface": 0}},
		},
	}
	for key, value := range p.config {
		config[key] = value
	}
	return json.Marshal(config)
}

// call runs an operation and returns how long the process took, from start to end. It has real-time
// priority if that is allowed, like senders.
func (p *pod) call(plugin plugin, operation string) (took time.Duration, err error) {
	binary, err := plugin.binary()
	if err != nil {
		return 0, err
	}
	stdin, err := plugin.stdin(p.NS)
	if err != nil {
		return 0, err
	}
	var output bytes.Buffer
	command := p.group.Command(binary)
	command.Env = []string{
		"CNI_COMMAND=" + operation, "CNI_CONTAINERID=" + p.PluginID(), "CNI_NETNS=" + p.NS.Path(),
		"CNI_IFNAME=" + p.IfName, "CNI_PATH=" + filepath.Dir(binary), "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
	}
	command.Stdin, command.Stdout, command.Stderr = bytes.NewReader(stdin), &output, &output
	command.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	err = p.node.NS.Do(func(ns.NetNS) error {
		run := func() error {
			start := time.Now()
			err := runBounded(command)
			took = time.Since(start)
			return err
		}
		if p.ordinary {
			return run()
		}
		return traffic.RealTime(run)
	})
	if err != nil {
		return took, fmt.Errorf("%s of %s: %w: %s", operation, plugin.path, err, output.Bytes())
	}
	return took, nil
}

// runBounded runs a command, and kills it with its process group if it takes too long: a real-time
// process must not run forever.
func runBounded(command *exec.Cmd) error {
	if err := command.Start(); err != nil {
		return err
	}
	timer := time.AfterFunc(node.ToolTimeout, func() { _ = unix.Kill(-command.Process.Pid, unix.SIGKILL) })
	defer timer.Stop()
	return command.Wait()
}

// add runs ADD. close runs DEL.
func (p *pod) add(plugin plugin) (time.Duration, error) {
	p.added = append(p.added, plugin)
	return p.call(plugin, "ADD")
}

// del runs DEL of the plugin that was added last.
func (p *pod) del() (time.Duration, error) {
	last := p.added[len(p.added)-1]
	p.added = p.added[:len(p.added)-1]
	return p.call(last, "DEL")
}

// close runs the missing DELs. The rest goes with the node.
func (p *pod) close() error {
	var errs []error
	for len(p.added) > 0 {
		_, err := p.del()
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// process makes a sample that measures how long a process takes.
func process(run func() (time.Duration, error)) func() (float64, error) {
	return func() (float64, error) {
		took, err := run()
		return milliseconds(took), err
	}
}

// milliseconds is the unit of the tables about processes.
func milliseconds(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
