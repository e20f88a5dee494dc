package install

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xdp-port/xdp-port/pkg/confedit"
)

const (
	flannel = `{
  "name": "cbr0", "cniVersion": "1.0.0",
  "plugins": [
    { "type": "flannel", "delegate": { "hairpinMode": true } },
    { "type": "portmap", "capabilities": { "portMappings": true } }
  ]
}
`
	entry = `{ "rules": [{ "protocol": "udp", "port": 7999, "toPort": 7998 }] }`
)

// folder is a folder with network configurations.
type folder struct {
	*testing.T
	Networks
}

func newFolder(t *testing.T, files ...string) folder {
	f := folder{t, Networks{Folder: t.TempDir()}}
	for _, name := range files {
		f.write(name, flannel)
	}
	return f
}

func (f folder) must(err error) {
	f.Helper()
	if err != nil {
		f.Fatal(err)
	}
}

func (f folder) path(name string) string { return filepath.Join(f.Folder, name) }

func (f folder) write(name, text string) {
	f.Helper()
	f.must(os.WriteFile(f.path(name), []byte(text), 0o640))
}

func (f folder) read(name string) string {
	f.Helper()
	text, err := os.ReadFile(f.path(name))
	f.must(err)
	return string(text)
}

func anything(string, confedit.Inlined) error { return nil }

// add requires Add to add the entry to this file.
func (f folder) add(name string) {
	f.Helper()
	path, _, err := f.Add([]byte(entry), anything)
	f.must(err)
	if path != f.path(name) || !strings.Contains(f.read(name), `"xdp-port"`) {
		f.Errorf("%s was changed, not %s:\n%s", path, name, f.read(name))
	}
}

// want requires the folder to contain exactly these files.
func (f folder) want(files map[string]string) {
	f.Helper()
	entries, err := os.ReadDir(f.Folder)
	f.must(err)
	for _, entry := range entries {
		if _, known := files[entry.Name()]; !known && !entry.IsDir() {
			f.Errorf("%s is there", entry.Name())
		}
	}
	for name, text := range files {
		if got := f.read(name); got != text {
			f.Errorf("%s is\n%s\nwant\n%s", name, got, text)
		}
	}
}

func (f folder) remove() {
	f.Helper()
	_, err := f.Remove()
	f.must(err)
}

func TestAddAndRemove(t *testing.T) {
	f := newFolder(t, "10-flannel.conflist", "20-other.conflist")
	f.add("10-flannel.conflist")
	first, err := os.Stat(f.path("10-flannel.conflist"))
	f.must(err)
	if first.Mode() != 0o640 {
		t.Errorf("its mode is %v", first.Mode())
	}
	_, changed, err := f.Add([]byte(entry), anything)
	f.must(err)
	if again, err := os.Stat(f.path("10-flannel.conflist")); err != nil || changed || !os.SameFile(first, again) {
		t.Errorf("adding twice writes twice (%v)", err)
	}
	if f.read("20-other.conflist") != flannel {
		t.Error("another network was changed")
	}
	f.remove()
	f.want(map[string]string{"10-flannel.conflist": flannel, "20-other.conflist": flannel})
	f.remove()
	f.want(map[string]string{"10-flannel.conflist": flannel, "20-other.conflist": flannel})
}

// TestOtherEntry adds two entries one after the other, and removes them. The original may
// have an entry that was written by hand.
func TestOtherEntry(t *testing.T) {
	byHand := strings.Replace(flannel, "\n  ]", ",\n    {\"type\":\"xdp-port\",  \"rules\": []}\n  ]", 1)
	for _, original := range []string{flannel, byHand} {
		f := newFolder(t)
		f.write("a.conflist", original)
		f.add("a.conflist")
		_, changed, err := f.Add([]byte(`{ "rules": [] }`), anything)
		f.must(err)
		if !changed || strings.Contains(f.read("a.conflist"), "7999") {
			t.Errorf("the second entry is not there:\n%s", f.read("a.conflist"))
		}
		f.remove()
		f.want(map[string]string{"a.conflist": original})
	}
}

// TestRewritten has another installer rewrite the file, with and without the entry.
func TestRewritten(t *testing.T) {
	f := newFolder(t, "a.conflist")
	f.add("a.conflist")
	newer := strings.Replace(flannel, "cbr0", "cbr1", 1)
	f.write("a.conflist", newer)
	f.add("a.conflist")
	f.remove()
	f.want(map[string]string{"a.conflist": newer})

	f.add("a.conflist")
	chained := strings.Replace(f.read("a.conflist"), "\n  ]", ",\n    {\"type\": \"istio-cni\"}\n  ]", 1)
	f.write("a.conflist", chained)
	f.add("a.conflist")
	f.remove()
	f.want(map[string]string{"a.conflist": strings.Replace(newer, "\n  ]", ",\n    {\"type\": \"istio-cni\"}\n  ]", 1)})
}

// TestAnotherNetwork adds a network that comes first.
func TestAnotherNetwork(t *testing.T) {
	f := newFolder(t, "10-old.conflist")
	f.add("10-old.conflist")
	f.write("05-new.conflist", flannel)
	f.add("05-new.conflist")
	if f.read("10-old.conflist") != flannel {
		t.Errorf("the old network is not put back:\n%s", f.read("10-old.conflist"))
	}
	f.must(os.Remove(f.path("05-new.conflist")))
	f.add("10-old.conflist")
	f.remove()
	f.want(map[string]string{"10-old.conflist": flannel})
}

// TestHalfWritten has an unreadable first file, which must stay as it is.
func TestHalfWritten(t *testing.T) {
	f := newFolder(t, "b.conflist")
	f.write("a.conflist", flannel[:len(flannel)/2])
	if _, _, err := f.Add([]byte(entry), anything); err == nil || !strings.Contains(err.Error(), "a.conflist") {
		t.Errorf("got %v", err)
	}
	f.want(map[string]string{"a.conflist": flannel[:len(flannel)/2], "b.conflist": flannel})
}

func TestRefusals(t *testing.T) {
	f := newFolder(t)
	if _, _, err := f.Add([]byte(entry), anything); !errors.Is(err, ErrNoNetwork) {
		t.Errorf("without any network: %v", err)
	}
	f.write("a.conf", `{"type": "bridge", "name": "x", "cniVersion": "1.0.0"}`)
	if _, _, err := f.Add([]byte(entry), anything); err == nil || !strings.Contains(err.Error(), "make it a .conflist") {
		t.Errorf("what is no list: %v", err)
	}
	f.write("b.conflist", flannel)
	f.File = "b.conflist"
	f.add("b.conflist")
	f.remove()
	no := errors.New("no")
	if _, _, err := f.Add([]byte(entry), func(string, confedit.Inlined) error { return no }); !errors.Is(err, no) {
		t.Errorf("what the check refuses: %v", err)
	}
	if f.read("b.conflist") != flannel {
		t.Error("it was written all the same")
	}
	f.File = "c.conflist"
	if _, _, err := f.Add([]byte(entry), anything); !errors.Is(err, ErrNoNetwork) {
		t.Errorf("without this network: %v", err)
	}
}

// TestSymbolicLink has a link: it must stay, and its target gets the entry.
func TestSymbolicLink(t *testing.T) {
	elsewhere := newFolder(t, "real.json")
	f := newFolder(t)
	f.must(os.Symlink(elsewhere.path("real.json"), f.path("a.conflist")))
	f.add("a.conflist")
	if info, err := os.Lstat(f.path("a.conflist")); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		t.Error("the link is none any more", err)
	}
	f.remove()
	f.want(map[string]string{"a.conflist": flannel})
	elsewhere.want(map[string]string{"real.json": flannel})
}

// TestNetworkRemoved has an owner remove a network: it must not come back.
func TestNetworkRemoved(t *testing.T) {
	f := newFolder(t, "a.conflist")
	f.add("a.conflist")
	if !f.IsAdded() {
		t.Error("IsAdded does not see the entry")
	}
	f.must(os.Remove(f.path("a.conflist")))
	f.remove()
	f.want(nil)
	if f.IsAdded() {
		t.Error("IsAdded sees a removed entry")
	}
}

// TestKilled has a half-written file of a dead process.
func TestKilled(t *testing.T) {
	f := newFolder(t, "a.conflist")
	f.write(".a.conflist.123.new", flannel[:10])
	long := time.Now().Add(-time.Hour)
	f.must(os.Chtimes(f.path(".a.conflist.123.new"), long, long))
	f.add("a.conflist")
	f.remove()
	f.want(map[string]string{"a.conflist": flannel})
}

// TestAlwaysWhole reads all the time while the entry is added and removed. Each read must
// give one of the two whole texts.
func TestAlwaysWhole(t *testing.T) {
	f := newFolder(t, "a.conflist")
	f.add("a.conflist")
	with := f.read("a.conflist")
	f.remove()
	done, looked := make(chan struct{}), make(chan error, 1)
	go func() {
		for {
			text, err := os.ReadFile(f.path("a.conflist"))
			if err == nil && string(text) != with && string(text) != flannel {
				err = errors.New("a part: " + string(text))
			}
			if err != nil {
				looked <- err
				return
			}
			select {
			case <-done:
				looked <- nil
				return
			default:
			}
		}
	}()
	for range 50 {
		f.add("a.conflist")
		f.remove()
	}
	close(done)
	f.must(<-looked)
}

func TestPrograms(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	f := folder{T: t}
	for _, name := range programs {
		f.must(os.WriteFile(filepath.Join(from, name), []byte(name), 0o600))
	}
	f.must(os.WriteFile(filepath.Join(to, programs[0]), []byte("older"), 0o755))
	running, err := os.Open(filepath.Join(to, programs[0]))
	f.must(err)
	defer running.Close()
	changed, err := Programs(from, to)
	f.must(err)
	if len(changed) != len(programs) {
		t.Errorf("changed: %v", changed)
	}
	if changed, err = Programs(from, to); err != nil || len(changed) != 0 {
		t.Errorf("again: %v, %v", changed, err)
	}
	old := make([]byte, 10)
	if n, _ := running.Read(old); string(old[:n]) != "older" {
		t.Errorf("a process with the old program open reads %q", old[:n])
	}
	for _, name := range programs {
		text, err := os.ReadFile(filepath.Join(to, name))
		info, _ := os.Stat(filepath.Join(to, name))
		if err != nil || string(text) != name || info.Mode() != programMode {
			t.Errorf("%s: %q, %v, %v", name, text, info.Mode(), err)
		}
	}
	if missing := Missing(to); len(missing) != 0 {
		t.Errorf("missing: %v", missing)
	}
	removed, err := RemovePrograms(to)
	f.must(err)
	if missing := Missing(to); len(missing) != len(programs) {
		t.Errorf("missing of those removed: %v", missing)
	}
	if left, _ := os.ReadDir(to); len(left) != 0 || len(removed) != len(programs) {
		t.Errorf("removed %v, left %v", removed, left)
	}
}

// TestWatch has writes in quick succession, and later ones.
func TestWatch(t *testing.T) {
	f := newFolder(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	changes, problem := Watch(ctx, f.Folder)
	f.must(problem)
	next := func() {
		t.Helper()
		select {
		case <-changes:
		case <-time.After(20 * time.Second):
			t.Fatal("no report")
		}
	}
	next()
	for i := range 10 {
		f.write("a.conflist", flannel[:i*10])
	}
	next()
	f.must(os.Remove(f.path("a.conflist")))
	next()
}

// TestMentions has files that name xdp-port, with various names.
func TestMentions(t *testing.T) {
	f := newFolder(t, "a.conflist", "b.conflist")
	escaped := strings.Replace(flannel, "portmap", `xdp\u002dport`, 1)
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, ""},
		{func() { f.add("a.conflist") }, "a.conflist"},
		{func() { f.must(os.Rename(f.path("a.conflist"), f.path("a.conflist.cilium_bak"))) }, "a.conflist.cilium_bak"},
		{func() { f.write("c", escaped) }, "a.conflist.cilium_bak c"},
		{func() { f.must(os.Remove(f.path("a.conflist.cilium_bak"))); f.remove() }, "c"},
		{func() { f.must(os.Remove(f.path("c"))) }, ""},
	} {
		step.do()
		paths, err := f.Mentions()
		for i := range paths {
			paths[i] = filepath.Base(paths[i])
		}
		if got := strings.Join(paths, " "); got != step.want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, step.want)
		}
	}
}
