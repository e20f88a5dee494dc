package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/containernetworking/cni/pkg/types"
	"golang.org/x/sys/unix"
)

// PluginID is the container ID that Plugin uses.
func (c *Container) PluginID() string { return "direct-" + c.ID() }

// Plugin runs a verb of the plugin itself, with a configuration as a runtime
// would pass it, and returns the CNI error that it answers, or nil. Close runs
// DEL of what was added so.
func (c *Container) Plugin(verb string, config map[string]any) (*types.Error, error) {
	world.RLock()
	defer world.RUnlock()
	if verb == "ADD" {
		c.direct = append(c.direct, config)
	}
	return c.plugin(verb, config)
}

func (c *Container) plugin(verb string, config map[string]any) (*types.Error, error) {
	bin, err := BinDir()
	if err != nil {
		return nil, err
	}
	stdin, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(filepath.Join(bin, "xdp-port"))
	cmd.Env = []string{
		"CNI_COMMAND=" + verb, "CNI_CONTAINERID=" + c.PluginID(), "CNI_NETNS=" + c.NS.Path(),
		"CNI_IFNAME=" + c.IfName, "CNI_PATH=" + bin,
	}
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	var stdout bytes.Buffer
	cmd.Stdin, cmd.Stdout = bytes.NewReader(stdin), &stdout
	err = Run(c.node.NS, cmd, ToolTimeout)
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return nil, err
	}
	refusal := new(types.Error)
	if err := json.Unmarshal(stdout.Bytes(), refusal); err != nil {
		return nil, fmt.Errorf("stdout of %s is not an error: %w: %s", verb, err, stdout.Bytes())
	}
	return refusal, nil
}
