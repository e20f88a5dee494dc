package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/xdp-port/xdp-port"

// modules are all that the plugin may link: each one is read and initialised at every ADD and
// DEL. Adding one needs a measurement of both.
var modules = []string{
	module,
	"github.com/cilium/ebpf",
	"github.com/containernetworking/cni",
	"github.com/containernetworking/plugins",
	"github.com/pkg/errors", // of netlinksafe
	"github.com/systemd/slog-journal",
	"github.com/vishvananda/netlink",
	"github.com/vishvananda/netns",
	"golang.org/x/sys",
}

// toolOnly are packages of these modules and of Go that only the tool needs.
var toolOnly = []string{
	"crypto/tls", "net/http", "text/template",
	module + "/pkg/agent", module + "/pkg/apply", module + "/pkg/cli", module + "/pkg/cluster", module + "/pkg/conflist",
	module + "/pkg/doctor", module + "/pkg/endpoint", module + "/pkg/gc", module + "/pkg/inspect", module + "/pkg/install",
	module + "/pkg/metrics", module + "/pkg/pcap", module + "/pkg/simulate", module + "/pkg/terminal",
}

// TestLean checks that the plugin links nothing that only the tool needs.
func TestLean(t *testing.T) {
	const format = `{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}`
	out, err := exec.Command("go", "list", "-deps", "-f", format, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		path, in, _ := strings.Cut(strings.TrimSpace(line), " ")
		seen[path] = true
		if in != "" && !slices.Contains(modules, in) {
			t.Errorf("the plugin links %s, of the module %s", path, in)
		}
		if slices.Contains(toolOnly, path) {
			t.Errorf("the plugin links %s, which only the tool needs", path)
		}
	}
	if !seen[module+"/pkg/state"] {
		t.Errorf("not the plugin's packages: %s", out)
	}
}
