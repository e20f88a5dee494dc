package machine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMain(m *testing.M) {
	Main()
	os.Exit(m.Run())
}

// TestMachine looks around in a machine, and for what is left of it.
func TestMachine(t *testing.T) {
	m, err := New()
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	for command, want := range map[string]string{
		"stat -fc %T /sys/fs/bpf":                 "bpf_fs",
		"ls /etc/cni /opt/cni/ | wc -w":           "2", // the names of the folders
		"ls /sys/class/net | wc -l; true":         "",
		"cat /sys/fs/bpf/x || echo nothing":       "nothing",
		"ip -br link 2>/dev/null | wc -l":         "1",
		"cat /proc/1/cmdline | tr -d '\\0'":       initName,
		"cat /proc/self/cgroup | grep -c machine": "0",
		"echo hello > /etc/hello; cat /etc/hello": "hello",
	} {
		got, err := m.Run("sh", "-c", command+"; true")
		if err != nil {
			t.Fatal(err)
		}
		if got = strings.TrimSpace(got); want != "" && got != want {
			t.Errorf("%s: got %q, want %q", command, got, want)
		}
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/etc/hello"); err == nil {
		t.Error("a file of the machine is on the host")
	}
	left, _ := filepath.Glob("/sys/fs/cgroup/*/" + cgroupPrefix + "*")
	if len(left) > 0 {
		t.Error(left)
	}
}
