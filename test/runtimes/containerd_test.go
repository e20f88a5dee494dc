package runtimes

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/internal/machine"
)

// edition is a version of containerd.
type edition struct {
	config string
	// path is the folder with its programs.
	path func(*testing.T) string
}

// The configurations work without what a host may lack: AppArmor, CAP_SYS_RESOURCE for a better OOM score,
// and a registry for the sandbox image.
var containerd1 = edition{
	config: `version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "` + image + `"
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
`,
	path: func(*testing.T) string { return "/usr/bin" },
}

var containerd2 = edition{
	config: `version = 3
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "` + image + `"
[plugins."io.containerd.cri.v1.runtime"]
  restrict_oom_score_adj = true
  disable_apparmor = true
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
`,
	path: func(t *testing.T) string { return filepath.Join(binDir(t), "containerd") },
}

// containerd is the daemon on its machine.
type containerd struct {
	m      *machine.Machine
	log    string
	daemon *machine.Daemon
}

// startContainerd makes a machine with containerd and the image.
func startContainerd(t *testing.T, e edition) *containerd {
	t.Helper()
	path := e.path(t)
	need(t, filepath.Join(path, "containerd"), filepath.Join(path, "ctr"), "runc")
	m := newMachine(t, path)
	c := &containerd{m: m, log: filepath.Join(t.TempDir(), "containerd.log")}
	t.Cleanup(func() { showLog(t, c.log) })
	must(t, m.WriteFile("/etc/containerd/config.toml", e.config))
	must(t, c.start())
	for _, namespace := range []string{"default", "k8s.io"} {
		_, err := m.Run("ctr", "-n", namespace, "image", "import", filepath.Join(binDir(t), "echo.tar"))
		must(t, err)
	}
	return c
}

func showLog(t *testing.T, path string) {
	if !t.Failed() {
		return
	}
	text, err := os.ReadFile(path)
	t.Logf("%s (%v):\n%s", filepath.Base(path), err, text[max(0, len(text)-10_000):])
}

// start starts the daemon and waits until it answers.
func (c *containerd) start() (err error) {
	if c.daemon, err = c.m.StartDaemon(c.log, "containerd"); err != nil {
		return err
	}
	return eventually(func() error {
		_, err := c.m.Run("ctr", "version")
		return err
	})
}

// restart stops the daemon as an operator does, and then as a crash does.
func (c *containerd) restart() error {
	for _, signal := range []os.Signal{unix.SIGTERM, unix.SIGKILL} {
		if err := c.daemon.Stop(signal); err != nil {
			return err
		}
		if err := c.start(); err != nil {
			return err
		}
	}
	return nil
}
