package node

import (
	"bytes"
	"crypto/sha512"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/pace"
)

// BinDir is the folder of the plugin and cnitool; its folder cni has the reference
// plugins. It is XDP_PORT_BIN, or bin in the current repository.
func BinDir() (string, error) {
	if dir := os.Getenv("XDP_PORT_BIN"); dir != "" {
		return dir, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return filepath.Join(dir, "bin"), nil
		}
	}
	return "", errors.New("no bin folder found: set XDP_PORT_BIN")
}

// Container is a network namespace that CNI networks are attached to.
type Container struct {
	NS ns.NetNS
	// IfName is the interface that Attach makes.
	IfName string
	// HostSide is the name of the interface's other end, if Routed made the container.
	HostSide string
	// CapArgs is the JSON that a runtime would pass as runtimeConfig.
	CapArgs string

	node     *Node
	borrowed bool // another Container removes NS
	attached []string
}

// Interface returns another interface of the same container, for networks of its own.
func (c *Container) Interface(name string) *Container {
	other := &Container{NS: c.NS, IfName: name, node: c.node, borrowed: true}
	c.node.containers = append(c.node.containers, other)
	return other
}

// ToolTimeout limits one run of cnitool.
var ToolTimeout = pace.Patience(30 * time.Second)

// Conflist writes a network configuration list to the folder that this node's cnitool
// reads. IPAM keeps its state in the node's folder.
func (n *Node) Conflist(list map[string]any) error {
	for _, plugin := range list["plugins"].([]any) {
		if ipam, ok := plugin.(map[string]any)["ipam"].(map[string]any); ok {
			ipam["dataDir"] = n.path("ipam")
		}
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(n.path("net.d"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(n.path("net.d", fmt.Sprint(list["name"], ".conflist")), text, 0o600)
}

// ConflistFile reads the list from a file and calls Conflist.
func (n *Node) ConflistFile(path string) error {
	list, err := readConflist(path)
	if err != nil {
		return err
	}
	return n.Conflist(list)
}

// ConflistWithout does the same, without the plugins of one type and under another
// name.
func (n *Node) ConflistWithout(path, plugin, name string) error {
	list, err := readConflist(path)
	if err != nil {
		return err
	}
	list["name"] = name
	list["plugins"] = slices.DeleteFunc(list["plugins"].([]any), func(p any) bool {
		return p.(map[string]any)["type"] == plugin
	})
	return n.Conflist(list)
}

func readConflist(path string) (list map[string]any, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return list, nil
}

// Attach runs ADD of the network for the container. Close runs DEL.
func (c *Container) Attach(network string) (result []byte, err error) {
	world.RLock()
	defer world.RUnlock()
	c.attached = append(c.attached, network)
	return c.cnitool("add", network)
}

// Detach runs DEL.
func (c *Container) Detach(network string) error {
	_, err := c.CNITool("del", network)
	return err
}

func (c *Container) detachAll() error {
	var errs []error
	for _, network := range c.attached {
		_, err := c.cnitool("del", network)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// CNITool runs an operation of cnitool on the node and returns its stdout. The error
// contains its stderr.
func (c *Container) CNITool(operation, network string) ([]byte, error) {
	world.RLock()
	defer world.RUnlock()
	return c.cnitool(operation, network)
}

// cnitool is CNITool for callers that have locked the world. The tool and its plugins
// have their own process group, so that Ctrl-C does not stop them halfway.
func (c *Container) cnitool(operation, network string) ([]byte, error) {
	bin, err := BinDir()
	if err != nil {
		return nil, err
	}
	tool := exec.Command(filepath.Join(bin, "cnitool"), operation, network, c.NS.Path())
	tool.Env = append(os.Environ(),
		"CNI_PATH="+bin+":"+filepath.Join(bin, "cni"),
		"NETCONFPATH="+c.node.path("net.d"),
		"CNI_IFNAME="+c.IfName,
		"CAP_ARGS="+c.CapArgs,
	)
	tool.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	var stdout, stderr bytes.Buffer
	tool.Stdout, tool.Stderr = &stdout, &stderr
	if err := Run(c.node.NS, tool, ToolTimeout); err != nil {
		return nil, fmt.Errorf("cnitool %s %s: %w: %s%s", operation, network, err, stderr.Bytes(), stdout.Bytes())
	}
	return stdout.Bytes(), nil
}

// Run runs a command in a namespace. After the timeout it kills the command, or the
// whole process group if the command has its own. It enters with setns only, because
// ip-netns(8) would hide bpffs.
func Run(in ns.NetNS, command *exec.Cmd, timeout time.Duration) error {
	if err := in.Do(func(ns.NetNS) error { return command.Start() }); err != nil {
		return err
	}
	victim := command.Process.Pid
	if command.SysProcAttr != nil && command.SysProcAttr.Setpgid {
		victim = -victim
	}
	timer := time.AfterFunc(timeout, func() { _ = unix.Kill(victim, unix.SIGKILL) })
	defer timer.Stop()
	return command.Wait()
}

// Addr returns the global address of the container's interface, IPv4 or IPv6.
func (c *Container) Addr(family int) (addr netip.Addr, err error) {
	err = c.NS.Do(func(ns.NetNS) error {
		link, err := netlinksafe.LinkByName(c.IfName)
		if err != nil {
			return err
		}
		addresses, err := netlinksafe.AddrList(link, family)
		if err != nil {
			return err
		}
		for _, address := range addresses {
			if address.Scope == int(netlink.SCOPE_UNIVERSE) {
				addr, _ = netip.AddrFromSlice(address.IP)
				addr = addr.Unmap()
				return nil
			}
		}
		return fmt.Errorf("%s has no global address", c.IfName)
	})
	return addr, err
}

// ID returns the container ID of cnitool, which derives it from the path of the
// namespace.
func (c *Container) ID() string {
	sum := sha512.Sum512([]byte(c.NS.Path()))
	return fmt.Sprintf("cnitool-%x", sum[:10])
}

// RemoveInterface removes the container's interface and thereby the host side, as the
// end of the network namespace does.
func (c *Container) RemoveInterface() error {
	return c.NS.Do(func(ns.NetNS) error {
		link, err := netlinksafe.LinkByName(c.IfName)
		if err != nil {
			return err
		}
		return netlink.LinkDel(link)
	})
}
