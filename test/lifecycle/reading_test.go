package lifecycle

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestLocked holds the lock. Operations that cannot read must report that and name the
// process that holds the lock. They must not report that there is nothing.
func TestLocked(t *testing.T) {
	w := newWorld(t)
	p := w.pod(t, "host0", 0)
	p.add(t, 1, manners(t)[0])
	lock, err := os.Open(node.StateFolder)
	must(t, err)
	defer lock.Close()
	must(t, unix.Flock(int(lock.Fd()), unix.LOCK_EX))
	holder := fmt.Sprint("process ", os.Getpid())
	var group sync.WaitGroup // each waits for ten seconds
	for _, args := range [][]string{
		{"list"},
		{"list", "-o", "json"},
		{"gc"},
		{"gc", "-o", "json"},
		{"gc", "--dry-run"},
		{"gc", "--dry-run", "-o", "json"},
		{"doctor"},
		{"doctor", "-o", "json"},
		{"apply", conflist(t, 2, manners(t)[0])},
	} {
		group.Go(func() {
			stdout, stderr, code := w.tool(t, args...)
			said := strings.Join(strings.Fields(string(stdout)+string(stderr)), " ")
			if code != 1 || !strings.Contains(said, holder) {
				t.Errorf("%v exits with %d and does not name %s: %s", args, code, holder, said)
			}
			for _, nothing := range []string{"nothing is", `"attachments": []`, "no container"} {
				if strings.Contains(said, nothing) {
					t.Errorf("%v says %q: %s", args, nothing, said)
				}
			}
		})
	}
	for operation, want := range map[string]uint{"STATUS": 50, "CHECK": 11, "DEL": 11, "ADD": 11} {
		group.Go(func() {
			code, message := p.operation(t, operation, entry("lab", 1, manners(t)[0]))
			if code != want || !strings.Contains(message, holder) {
				t.Errorf("%s answers %d: %s", operation, code, message)
			}
		})
	}
	group.Wait()
	must(t, lock.Close())
	p.mustBeRight(t)
	p.del(t)
	mustBeClean(t)
}

// TestReadOnly mounts the BPF file system read-only. No operation that has to write may
// report success, and none may detach half of an attachment.
func TestReadOnly(t *testing.T) {
	eachManner(t, func(t *testing.T, m manner) {
		w := newWorld(t)
		p := w.pod(t, "host0", 0)
		p.add(t, 1, m)
		remount(t, "ro")
		for operation, config := range map[string]map[string]any{
			"ADD": entry("lab", 2, m), "DEL": entry("lab", 1, m), "STATUS": entry("lab", 1, m),
			"GC": {"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port", "rules": []any{}, "cni.dev/valid-attachments": []any{}},
		} {
			if code, message := p.operation(t, operation, config); code != 105 && code != 50 {
				t.Errorf("%s answers %d: %s", operation, code, message)
			}
			p.mustBeRight(t)
		}
		if code, message := p.check(t); code != 105 {
			t.Errorf("CHECK answers %d: %s", code, message)
		}
		if l := p.listedAs(t); l == nil || l.Healthy || l.Gone {
			t.Errorf("list says %+v", l)
		}
		for _, args := range [][]string{{"stats"}, {"stats", "-o", "json"}, {"stats", p.id}} {
			if stdout, stderr, code := w.tool(t, args...); code != 1 || len(stdout) > 0 || !strings.Contains(string(stderr), "read-only") {
				t.Errorf("%v exits with %d: %s%s", args, code, stdout, stderr)
			}
		}
		if stdout, _, code := w.tool(t, "doctor"); code != 1 || strings.Contains(string(stdout), "from_container") {
			t.Errorf("doctor exits with %d: %s", code, stdout)
		}
		remount(t, "rw")
		p.removeDevice(t)
		remount(t, "ro")
		if stdout, stderr, code := w.tool(t, "gc"); code != 1 || !strings.Contains(string(stderr), "read-only") {
			t.Errorf("gc exits with %d: %s%s", code, stdout, stderr)
		}
		remount(t, "rw")
		w.mustTool(t, "gc")
		mustBeClean(t)
	})
}

// remount remounts this process's BPF file system until the test ends.
func remount(t *testing.T, how string) {
	t.Helper()
	flags := uintptr(unix.MS_REMOUNT)
	if how == "ro" {
		flags |= unix.MS_RDONLY
		t.Cleanup(func() { must(t, unix.Mount("", "/sys/fs/bpf", "", unix.MS_REMOUNT, "")) })
	}
	must(t, unix.Mount("", "/sys/fs/bpf", "", flags, ""))
}
