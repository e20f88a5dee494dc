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
	"github.com/cilium/ebpf/ringbuf",
	module + "/pkg/agent", module + "/pkg/apply", module + "/pkg/cli", module + "/pkg/cluster", module + "/pkg/conflist",
	module + "/pkg/doctor", module + "/pkg/endpoint", module + "/pkg/gc", module + "/pkg/inspect", module + "/pkg/install",
	module + "/pkg/metrics", module + "/pkg/pcap", module + "/pkg/simulate", module + "/pkg/terminal", module + "/pkg/trace",
}

// TestLean checks that the plugin links nothing that only the tool needs.
func TestLean(t *testing.T) {
	plugin := linked(t, ".")
	for path, from := range plugin {
		if from != "" && !slices.Contains(modules, from) {
			t.Errorf("the plugin links %s, of the module %s", path, from)
		}
	}
	tool := linked(t, "../xdp-portctl")
	for _, path := range toolOnly {
		if _, links := plugin[path]; links {
			t.Errorf("the plugin links %s, which only the tool needs", path)
		}
		if _, links := tool[path]; !links {
			t.Errorf("not even the tool links %s: it has another name now, or goes from this list", path)
		}
	}
}

// linked returns the packages that a program links, with their modules.
func linked(t *testing.T, program string) map[string]string {
	t.Helper()
	const format = `{{.ImportPath}} {{with .Module}}{{.Path}}{{end}}`
	out, err := exec.Command("go", "list", "-deps", "-f", format, program).Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := map[string]string{}
	for line := range strings.Lines(string(out)) {
		path, from, _ := strings.Cut(strings.TrimSpace(line), " ")
		packages[path] = from
	}
	return packages
}
