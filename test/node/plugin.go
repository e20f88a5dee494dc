package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"
)

// Call is one run of the plugin, as a runtime makes it.
type Call struct {
	Operation, ContainerID, NetNS, IfName string
	// Args is the value of CNI_ARGS.
	Args string
	// Stdin is the network configuration.
	Stdin []byte
	// Through is a command that runs the plugin, such as setpriv(1) with its options.
	// If it is empty, nothing does.
	Through []string
	// Run runs the command instead of exec.Cmd.Run, on a thread in the node's namespace.
	// It may be nil.
	Run func(*exec.Cmd) error
}

// Answer is the plugin's answer to a Call.
type Answer struct {
	Stdout, Stderr []byte
	// Refusal is the CNI error of the plugin, or nil if it succeeded.
	Refusal *types.Error
}

// Call runs the plugin on the node. Close runs DEL for each ADD.
func (n *Node) Call(call Call) (*Answer, error) {
	world.RLock()
	defer world.RUnlock()
	answer, err := n.call(call)
	if call.Operation == "ADD" && !answer.isMalformed() {
		n.deleteLater(call)
	}
	return answer, err
}

// deleteLater makes Close undo an ADD. One DEL removes all attachments of an interface.
func (n *Node) deleteLater(call Call) {
	call.Operation, call.Through, call.Run = "DEL", nil, nil
	key := fmt.Sprintf("%q", []string{call.ContainerID, call.NetNS, call.IfName, call.Args, string(call.Stdin)})
	n.addedLock.Lock()
	defer n.addedLock.Unlock()
	if n.added == nil {
		n.added = map[string]Call{}
	}
	n.added[key] = call
}

// isMalformed reports whether the plugin refused the call with one of the
// specification's codes for malformed calls. It would refuse DEL as well.
func (a *Answer) isMalformed() bool {
	return a != nil && a.Refusal != nil && a.Refusal.Code <= types.ErrInvalidNetNS
}

// call is Call for callers that have locked the world.
func (n *Node) call(call Call) (*Answer, error) {
	bin, err := BinDir()
	if err != nil {
		return nil, err
	}
	command := slices.Concat(call.Through, []string{filepath.Join(bin, "xdp-port")})
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{
		"CNI_COMMAND=" + call.Operation, "CNI_CONTAINERID=" + call.ContainerID, "CNI_NETNS=" + call.NetNS,
		"CNI_IFNAME=" + call.IfName, "CNI_ARGS=" + call.Args, "CNI_PATH=" + bin,
	}
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(call.Stdin), &stdout, &stderr
	err = n.run(call, cmd)
	answer := &Answer{Stdout: stdout.Bytes(), Stderr: stderr.Bytes()}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return answer, err
	}
	answer.Refusal = new(types.Error)
	if err := json.Unmarshal(answer.Stdout, answer.Refusal); err != nil {
		return nil, fmt.Errorf("stdout of %s is not an error: %w: %s%s", call.Operation, err, answer.Stdout, answer.Stderr)
	}
	return answer, nil
}

func (n *Node) run(call Call, cmd *exec.Cmd) error {
	if call.Run == nil {
		return Run(n.NS, cmd, ToolTimeout)
	}
	return n.NS.Do(func(ns.NetNS) error { return call.Run(cmd) })
}

// deleteAdded runs DEL for each ADD, whatever its outcome was.
func (n *Node) deleteAdded() error {
	var errs []error
	for _, call := range n.added {
		answer, err := n.call(call)
		if err == nil && answer.Refusal != nil {
			err = answer.Refusal
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// PluginID is the container ID that Plugin uses.
func (c *Container) PluginID() string { return "direct-" + c.ID() }

// Plugin runs an operation of the plugin for the container, and returns its CNI error
// or nil.
func (c *Container) Plugin(operation string, config map[string]any) (*types.Error, error) {
	call, err := c.PluginCall(operation, config)
	if err != nil {
		return nil, err
	}
	answer, err := c.node.Call(call)
	if err != nil {
		return nil, err
	}
	return answer.Refusal, nil
}

// PluginCall returns the call that Plugin makes.
func (c *Container) PluginCall(operation string, config map[string]any) (Call, error) {
	stdin, err := json.Marshal(config)
	return Call{
		Operation: operation, ContainerID: c.PluginID(), NetNS: c.NS.Path(), IfName: c.IfName, Stdin: stdin,
	}, err
}
