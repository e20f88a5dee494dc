package portctl

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/test/node"
)

// everyCommand is all commands that look at the state or the kernel.
var everyCommand = [][]string{
	{"list"},
	{"show", "c"},
	{"stats"},
	{"stats", "--watch"},
	{"trace"},
	{"flows", "c"},
	{"metrics"},
	{"gc"},
	{"install", "--config", "c"},
	{"uninstall"},
	{"agent", "--config", "c"},
}

// TestUnprivileged expects a clear error from each command that needs privileges, and none from
// the others.
func TestUnprivileged(t *testing.T) {
	n := node.ForTest(t)
	valid := write(t, conflist("lab", rewriteTo(7998)))
	must(t, os.Chmod(valid, 0o644))
	must(t, os.Chmod(filepath.Dir(valid), 0o755))
	must(t, os.Chmod(filepath.Dir(filepath.Dir(valid)), 0o755))
	asNobody := func(args ...string) outcome {
		tool := node.ToolCommand(t, args...)
		tool.Path = openToAll(t, tool.Path)
		tool.SysProcAttr = &unix.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		return runTool(t, n, tool)
	}
	for _, args := range append(everyCommand, []string{"apply", valid}) {
		out := asNobody(args...)
		if out.code != 1 || !strings.Contains(out.stderr, "permission denied") || !strings.Contains(out.stderr, "root") || out.stdout != "" {
			t.Errorf("%v: %+v", args, out)
		}
	}
	if text := asNobody("doctor").want(t, 1); !strings.Contains(text, "CAP_") {
		t.Errorf("doctor: %s", text)
	}
	asNobody("validate", valid).want(t, 0)
	asNobody("test", valid, "-p", "udp 1.1.1.1:1 > 2.2.2.2:2").want(t, 0)
	asNobody("version").want(t, 0)
}

// openToAll copies a program to a folder where every user may run it.
func openToAll(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	folder, err := os.MkdirTemp("", "xdp-portctl-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(folder)) })
	must(t, os.Chmod(folder, 0o755))
	program := filepath.Join(folder, "xdp-portctl")
	must(t, os.WriteFile(program, text, 0o755))
	return program
}

// TestNothingAttached expects sensible output without state.
func TestNothingAttached(t *testing.T) {
	n := node.ForTest(t)
	valid := write(t, conflist("lab", rewriteTo(7998)))
	unshared := func(args ...string) outcome {
		return behindMount(t, n, "mount -t bpf none /sys/fs/bpf", args...)
	}
	for _, test := range []struct {
		code int
		args []string
	}{
		{0, []string{"list"}},
		{0, []string{"list", "-o", "json"}},
		{1, []string{"show", "c"}},
		{1, []string{"flows", "c"}},
		{0, []string{"stats"}},
		{0, []string{"stats", "-o", "json"}},
		{1, []string{"trace"}},
		{0, []string{"metrics"}},
		{0, []string{"gc"}},
		{0, []string{"gc", "--dry-run"}},
		{0, []string{"apply", valid}},
		{0, []string{"apply", "--dry-run", valid}},
		{0, []string{"doctor"}},
	} {
		out := unshared(test.args...)
		out.want(t, test.code)
		if out.stdout+out.stderr == "" {
			t.Errorf("%v says nothing", test.args)
		}
	}
	for _, args := range [][]string{{"list", "-o", "json"}, {"gc", "--dry-run", "-o", "json"}} {
		if list := decodeList[inspect.Attachment](t, unshared(args...).stdout, "attachments"); len(list) > 0 {
			t.Errorf("%v prints %v", args, list)
		}
	}
}

// TestNothingVisible mounts a sysfs over the one with the state. No command may report that
// nothing is attached, and doctor must know the fix.
func TestNothingVisible(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	valid := write(t, conflist("lab", rewriteTo(7998)))
	hidden := func(args ...string) outcome { return behindMount(t, n, "mount -t sysfs none /sys", args...) }
	for _, args := range [][]string{
		{"list"},
		{"show", c.ID()},
		{"flows", c.ID()},
		{"stats"},
		{"stats", "--watch"},
		{"trace"},
		{"metrics"},
		{"gc"},
		{"gc", "--dry-run"},
		{"apply", valid},
		{"apply", valid, "--dry-run"},
		{"uninstall", "--net-dir", t.TempDir(), "--bin-dir", t.TempDir()},
	} {
		for _, format := range []string{"table", "json"} {
			out := hidden(append(args, "-o", format)...)
			if out.code != 1 || out.stdout != "" || !strings.Contains(out.stderr, "the attachments of running containers cannot be read") ||
				strings.Contains(out.stderr, "Desc{") {
				t.Errorf("%v -o %s: %+v", args, format, out)
			}
		}
	}
	if text := hidden("doctor").want(t, 1); !strings.Contains(text, "umount -R /sys") {
		t.Errorf("%s", text)
	}
	showJSON(t, n, c)
}

// behindMount runs the tool in its own mount namespace, after a mount.
func behindMount(t *testing.T, n *node.Node, mount string, args ...string) outcome {
	t.Helper()
	tool := node.ToolCommand(t, args...)
	tool.Args = append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", mount + ` && exec "$@"`, "sh"}, tool.Args...)
	path, err := exec.LookPath("unshare")
	must(t, err)
	tool.Path = path
	return runTool(t, n, tool)
}

// TestReadOnly expects the fix for a read-only bpffs.
func TestReadOnly(t *testing.T) {
	const mount = "mount -t bpf none /sys/fs/bpf && mount -o remount,ro /sys/fs/bpf"
	if text := behindMount(t, node.ForTest(t), mount, "doctor").want(t, 1); !strings.Contains(text, "-> mount -o remount,rw /sys/fs/bpf") {
		t.Errorf("%s", text)
	}
}

// TestUsage expects exit code 2 and a hint for each wrong call, and no words of the libraries.
func TestUsage(t *testing.T) {
	n := node.ForTest(t)
	for _, args := range [][]string{
		{"lst"},
		{"list", "more"},
		{"list", "--frob"},
		{"list", "-o", "xml"},
		{"show"},
		{"flows", "a", "b"},
		{"stats", "--sort", "size"},
		{"stats", "--watch", "--interval", "1ms"},
		{"stats", "--watch", "--count", "-1"},
		{"metrics", "--max-rules", "-1"},
		{"agent", "--config", "x", "--max-attachments", "-1"},
		{"completion", "cmd"},
		{"help", "lst"},
		{"test", "-", "--packet", "-"},
		{"validate"},
		{"test", "x"},
		{"apply"},
		{"test", "x", "--packet", "sctp 1.1.1.1:1 > 2.2.2.2:2"},
		{"test", "x", "-d", "up", "-p", "udp 1.1.1.1:1 > 2.2.2.2:2"},
		{"show", ""},
		{"trace", "--port", "x"},
		{"trace", "--count", "99999999999999999999"},
		{"trace", "--verdict", `"`},
		{"stats", "--watch=maybe"},
		{"stats", "--interval", "5"},
		{"stats", "--count"},
		{"metrics", "--listen", "foo"},
		{"metrics", "--listen", "127.0.0.1:http"},
		{"metrics", "--listen", "127.0.0.1:65536"},
		{"metrics", "--listen", ":0", "--textfile", "x"},
		{"agent"},
		{"agent", "--config", "x", "--configmap", "a/b"},
		{"agent", "--configmap", "foo"},
		{"agent", "--configmap", "a/b/c"},
		{"agent", "--configmap", "/b"},
		{"agent", "--configmap", "a/b", "--listen", "foo"},
		{"agent", "--config", "x", "--interval", "0s"},
		{"install"},
		{"install", "--config", "x", "--wait", "--best-effort"},
	} {
		out := portctl(t, n, args...)
		if out.code != 2 || !strings.Contains(out.stderr, "--help") || out.stdout != "" {
			t.Errorf("%v: %+v", args, out)
		}
		if words := regexp.MustCompile(`strconv|parsing|in the group|arg\(s\)|flag\(s\)|invalid argument|time:`).FindString(out.stderr); words != "" {
			t.Errorf("%v: %q in %s", args, words, out.stderr)
		}
	}
	for _, args := range [][]string{{}, {"--help"}, {"help", "trace"}, {"completion", "bash"}, {"version"}, {"version", "-o", "json"}, {"--version"}} {
		if out := portctl(t, n, args...); out.code != 0 || out.stdout == "" {
			t.Errorf("%v: %+v", args, out)
		}
	}
}

// TestEveryCommandHasAnExample expects an example in each help text.
func TestEveryCommandHasAnExample(t *testing.T) {
	n := node.ForTest(t)
	for _, name := range []string{
		"list", "show", "stats", "trace", "flows", "apply", "validate", "test", "gc", "doctor", "metrics", "docs", "version",
		"install", "uninstall", "agent",
	} {
		if text := portctl(t, n, name, "--help").want(t, 0); !strings.Contains(text, "Examples:\n  xdp-portctl "+name) &&
			!strings.Contains(text, "| xdp-portctl "+name) {
			t.Errorf("%s: %s", name, text)
		}
	}
	folder := filepath.Join(t.TempDir(), "man")
	portctl(t, n, "docs", folder).want(t, 0)
	if pages, _ := filepath.Glob(folder + "/xdp-portctl*.8"); len(pages) < 17 {
		t.Errorf("only %v", pages)
	}
}

// TestForeignProgram replaces our XDP program by a foreign one.
func TestForeignProgram(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	a := showJSON(t, n, c)
	folder := filepath.Join(node.StateFolder, "rulesets", a.Ruleset, "attachments", "lab", c.ID(), c.IfName)
	replaceXDP(t, n, a.Index, filepath.Join(folder, "xdp"))
	if text := portctl(t, n, "list").want(t, 1); !strings.Contains(text, "stranger") || !strings.Contains(text, "detached") {
		t.Errorf("%s", text)
	}
	if text := portctl(t, n, "doctor").want(t, 1); !strings.Contains(text, "stranger") {
		t.Errorf("%s", text)
	}
}

// TestAmbiguous expects the IDs that an abbreviation may mean.
func TestAmbiguous(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	one, two := attach(t, n), attach(t, n)
	out := portctl(t, n, "show", "cnitool-")
	out.want(t, 1)
	if !strings.Contains(out.stderr, one.ID()) || !strings.Contains(out.stderr, two.ID()) {
		t.Errorf("%s", out.stderr)
	}
	portctl(t, n, "show", one.ID()).want(t, 0)
	portctl(t, n, "show", one.ID()[:len(one.ID())-1]).want(t, 0)
}

// TestStateBelowAnotherMount mounts another file system over the state. No command may report
// that nothing is attached.
func TestStateBelowAnotherMount(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	for _, args := range [][]string{{"list"}, {"show", c.ID()}, {"gc"}, {"stats", "-o", "json"}} {
		out := behindMount(t, n, "mount -t bpf bpf /sys/fs/bpf", args...)
		if out.code != 1 || out.stdout != "" || !strings.Contains(out.stderr, "umount /sys/fs/bpf") {
			t.Errorf("%v: %+v", args, out)
		}
	}
	showJSON(t, n, c)
}
