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

// Call is one run of the plugin itself, as a runtime makes it.
type Call struct {
	Verb, ContainerID, NetNS, IfName string
	// Args are what CNI_ARGS is.
	Args string
	// Stdin is the network configuration.
	Stdin []byte
	// Through is a command that is to run the plugin, such as setpriv(1) with
	// its options; none if empty.
	Through []string
	// Run, if there is one, runs the command in place of exec.Cmd.Run, on a
	// thread in the node's namespace.
	Run func(*exec.Cmd) error
}

// Answer is what the plugin said to a Call.
type Answer struct {
	Stdout, Stderr []byte
	// Refusal is the CNI error that it failed with, nil if it succeeded.
	Refusal *types.Error
}

// Call runs the plugin on the node. Close runs DEL for whatever ADD began.
func (n *Node) Call(call Call) (*Answer, error) {
	world.RLock()
	defer world.RUnlock()
	answer, err := n.call(call)
	if call.Verb == "ADD" && !answer.isMalformed() {
		n.remember(call)
	}
	return answer, err
}

// remember has Close undo an ADD; one DEL does for all of an interface.
func (n *Node) remember(call Call) {
	call.Verb, call.Through, call.Run = "DEL", nil, nil
	key := fmt.Sprintf("%q", []string{call.ContainerID, call.NetNS, call.IfName, call.Args, string(call.Stdin)})
	n.addedLock.Lock()
	defer n.addedLock.Unlock()
	if n.added == nil {
		n.added = map[string]Call{}
	}
	n.added[key] = call
}

// isMalformed tells whether the plugin refused a call as such, with one of the
// codes that the specification has for that: DEL would be refused, too.
func (a *Answer) isMalformed() bool {
	return a != nil && a.Refusal != nil && a.Refusal.Code <= types.ErrInvalidNetNS
}

// call is Call for who has the world locked.
func (n *Node) call(call Call) (*Answer, error) {
	bin, err := BinDir()
	if err != nil {
		return nil, err
	}
	command := slices.Concat(call.Through, []string{filepath.Join(bin, "xdp-port")})
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Env = []string{
		"CNI_COMMAND=" + call.Verb, "CNI_CONTAINERID=" + call.ContainerID, "CNI_NETNS=" + call.NetNS,
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
		return nil, fmt.Errorf("stdout of %s is not an error: %w: %s%s", call.Verb, err, answer.Stdout, answer.Stderr)
	}
	return answer, nil
}

func (n *Node) run(call Call, cmd *exec.Cmd) error {
	if call.Run == nil {
		return Run(n.NS, cmd, ToolTimeout)
	}
	return n.NS.Do(func(ns.NetNS) error { return call.Run(cmd) })
}

// deleteAdded runs DEL for all that ADD began, whatever became of it.
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

// Plugin runs a verb of the plugin itself for the container, and returns the
// CNI error that it answers, or nil.
func (c *Container) Plugin(verb string, config map[string]any) (*types.Error, error) {
	stdin, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	answer, err := c.node.Call(Call{
		Verb: verb, ContainerID: c.PluginID(), NetNS: c.NS.Path(), IfName: c.IfName, Stdin: stdin,
	})
	if err != nil {
		return nil, err
	}
	return answer.Refusal, nil
}
