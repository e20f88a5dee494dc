package portctl

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// TestReadPipe reads a configuration from a pipe. Without a writer the tool must end in time.
func TestReadPipe(t *testing.T) {
	n := node.ForTest(t)
	valid, err := os.ReadFile(write(t, conflist("lab", rewriteTo(7998))))
	must(t, err)
	pipe := filepath.Join(t.TempDir(), "pipe")
	must(t, unix.Mkfifo(pipe, 0o600))
	for _, args := range [][]string{
		{"validate", pipe},
		{"apply", pipe},
		{"install", "--config", pipe, "--net-dir", t.TempDir(), "--bin-dir", t.TempDir()},
		{"install", "--best-effort", "--config", pipe, "--net-dir", t.TempDir(), "--bin-dir", t.TempDir()},
	} {
		t.Run(strings.Join(args[:1], " "), func(t *testing.T) {
			tool := node.ToolCommand(t, args...)
			must(t, tool.Start())
			defer time.AfterFunc(pace.Patience(20*time.Second), func() { _ = tool.Process.Kill() }).Stop()
			writer, err := os.OpenFile(pipe, os.O_WRONLY, 0) // opens when the tool reads
			must(t, err)
			defer writer.Close()
			must(t, tool.Process.Signal(unix.SIGTERM))
			_ = tool.Wait()
			if code := tool.ProcessState.ExitCode(); code != 1 {
				t.Errorf("exit code %d", code)
			}
		})
	}
	for _, path := range []string{"-", "/dev/stdin", "/dev/fd/0"} {
		tool := node.ToolCommand(t, "validate", path)
		tool.Stdin = strings.NewReader(string(valid))
		runTool(t, n, tool).want(t, 0)
	}
	if shell, err := exec.LookPath("bash"); err == nil {
		tool := node.ToolCommand(t)
		tool.Args = []string{shell, "-c", `printf %s "$1" | "$2" validate <(cat)`, "bash", string(valid), tool.Path}
		tool.Path = shell
		runTool(t, n, tool).want(t, 0)
	}
	runTool(t, n, node.ToolCommand(t, "validate", "/dev/zero")).want(t, 1)
}

// TestTextfileTarget expects special files and links to stay as they are.
func TestTextfileTarget(t *testing.T) {
	n := node.ForTest(t)
	folder := t.TempDir()
	at := func(name string) string { return filepath.Join(folder, name) }
	must(t, unix.Mkfifo(at("pipe"), 0o600))
	must(t, os.Mkdir(at("folder"), 0o700))
	must(t, os.WriteFile(at("file"), nil, 0o600))
	for link, target := range map[string]string{"link": "file", "to-pipe": "pipe", "dangling": "missing"} {
		must(t, os.Symlink(target, at(link)))
	}
	for _, name := range []string{"pipe", "folder", "to-pipe", "dangling"} {
		before, err := os.Lstat(at(name))
		must(t, err)
		out := portctl(t, n, "metrics", "--textfile", at(name))
		out.want(t, 1)
		after, err := os.Lstat(at(name))
		must(t, err)
		if !os.SameFile(before, after) || !strings.Contains(out.stderr, at(name)) {
			t.Errorf("%s is %v: %s", name, after.Mode(), out.stderr)
		}
	}
	portctl(t, n, "metrics", "--textfile", at("link")).want(t, 0)
	info, err := os.Lstat(at("link"))
	must(t, err)
	text, err := os.ReadFile(at("file"))
	must(t, err)
	if info.Mode()&os.ModeSymlink == 0 || !strings.Contains(string(text), "xdp_port_attachments 0") {
		t.Errorf("the link is %v, the file has %q", info.Mode(), text)
	}
}

// TestListenUsage expects exit code 2 for a wrong address.
func TestListenUsage(t *testing.T) {
	n := node.ForTest(t)
	for _, address := range []string{"", "foo", "127.0.0.300:1", "a b:1", "[::1:9435", "127.0.0.1:99999", "127.0.0.1:"} {
		portctl(t, n, "metrics", "--listen", address).want(t, 2)
		portctl(t, n, "agent", "--config", "x", "--listen", address).want(t, 2)
	}
}
