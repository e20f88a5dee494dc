package install

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/confedit"
	"github.com/xdp-port/xdp-port/pkg/config"
	"github.com/xdp-port/xdp-port/pkg/jsondoc"
)

// reformat rewrites the file as an installer does that decodes and encodes JSON.
func (f folder) reformat(name string) string {
	f.Helper()
	var value any
	f.must(json.Unmarshal([]byte(f.read(name)), &value))
	text, err := json.MarshalIndent(value, "", "\t")
	f.must(err)
	f.write(name, string(text))
	return string(text)
}

// TestReformatted has an entry in another spelling, which must stay. Removing it must restore
// the original byte for byte.
func TestReformatted(t *testing.T) {
	f := newFolder(t, "a.conflist")
	f.add("a.conflist")
	reformatted := f.reformat("a.conflist")
	_, changed, err := f.Add([]byte(entry), anything)
	f.must(err)
	if changed || f.read("a.conflist") != reformatted {
		t.Errorf("it was written (%v):\n%s", changed, f.read("a.conflist"))
	}
	f.remove()
	f.want(map[string]string{"a.conflist": flannel})

	f.add("a.conflist")
	f.reformat("a.conflist")
	_, changed, err = f.Add([]byte(`{ "rules": [] }`), anything)
	f.must(err)
	if !changed || strings.Contains(f.read("a.conflist"), "7999") {
		t.Errorf("another entry is not there:\n%s", f.read("a.conflist"))
	}
}

// TestHalfWrittenForAMoment waits for a file that another process is writing.
func TestHalfWrittenForAMoment(t *testing.T) {
	f := newFolder(t)
	f.write("a.conflist", flannel[:len(flannel)/2])
	written := time.AfterFunc(2*pause, func() { _ = os.WriteFile(f.path("a.conflist"), []byte(flannel), 0o640) })
	defer written.Stop()
	f.add("a.conflist")
}

// TestRenamed renames a conflist as Cilium does. Its original must stay, so that the entry
// can be removed when the conflist comes back.
func TestRenamed(t *testing.T) {
	f := newFolder(t, "a.conflist")
	f.add("a.conflist")
	with := f.read("a.conflist")
	f.must(os.Rename(f.path("a.conflist"), f.path("a.conflist.cilium_bak")))
	f.remove()
	f.want(map[string]string{"a.conflist.cilium_bak": with, "a.conflist" + originalSuffix: flannel})
	f.write("05-cilium.conflist", flannel)
	f.add("05-cilium.conflist")
	f.must(os.Remove(f.path("05-cilium.conflist")))
	f.must(os.Rename(f.path("a.conflist.cilium_bak"), f.path("a.conflist")))
	f.remove()
	f.want(map[string]string{"a.conflist": flannel})
}

// TestReplacementFails has a file that root cannot replace. No original may be left, and the
// error must name the fix.
func TestReplacementFails(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root: run without -short")
	}
	f := newFolder(t, "a.conflist")
	for what, flag := range map[string]string{"is immutable": "i", "can only be appended to": "a"} {
		f.chattr("+"+flag, "a.conflist")
		_, _, err := f.Add([]byte(entry), anything)
		f.chattr("-"+flag, "a.conflist")
		if err == nil || !strings.Contains(err.Error(), what) || !strings.Contains(err.Error(), "chattr -"+flag) {
			t.Errorf("got %v", err)
		}
		f.want(map[string]string{"a.conflist": flannel})
	}

	// An original from before must stay.
	f.add("a.conflist")
	newer := strings.Replace(flannel, "cbr0", "cbr1", 1)
	f.write("a.conflist", newer)
	f.chattr("+i", "a.conflist")
	_, _, err := f.Add([]byte(entry), anything)
	f.chattr("-i", "a.conflist")
	if err == nil {
		t.Error("an immutable file is changed")
	}
	f.want(map[string]string{"a.conflist": newer, "a.conflist" + originalSuffix: flannel})
}

// chattr changes an attribute of a file, and resets it when the test ends.
func (f folder) chattr(change, name string) {
	f.Helper()
	file, err := os.Open(f.path(name))
	f.must(err)
	defer file.Close()
	flags, err := unix.IoctlGetInt(int(file.Fd()), unix.FS_IOC_GETFLAGS)
	f.must(err)
	bit := map[byte]int{'i': unix.STATX_ATTR_IMMUTABLE, 'a': unix.STATX_ATTR_APPEND}[change[1]]
	if change[0] == '+' {
		flags |= bit
		f.Cleanup(func() { f.chattr("-"+change[1:], name) })
	} else {
		flags &^= bit
	}
	f.must(unix.IoctlSetPointerInt(int(file.Fd()), unix.FS_IOC_SETFLAGS, flags))
}

// TestOddFolderName has names with the special characters of glob patterns.
func TestOddFolderName(t *testing.T) {
	f := folder{t, Networks{Folder: filepath.Join(t.TempDir(), "net[.d]*?\\")}}
	f.must(os.Mkdir(f.Folder, 0o700))
	f.write("[a]*.conflist", flannel)
	left := f.path(".[a]*.conflist.1.new")
	f.must(os.WriteFile(left, nil, 0o600))
	long := time.Now().Add(-time.Hour)
	f.must(os.Chtimes(left, long, long))
	f.add("[a]*.conflist")
	f.remove()
	f.want(map[string]string{"[a]*.conflist": flannel})
}

// TestPipe has pipes without a writer in all places. Reading them must not block.
func TestPipe(t *testing.T) {
	f := newFolder(t, "b.conflist")
	for _, name := range []string{"z", "z.conflist", "a.conflist"} {
		f.must(unix.Mkfifo(f.path(name), 0o600))
		if mentions, err := f.Mentions(); len(mentions) > 0 || err != nil {
			t.Errorf("%v, %v", mentions, err)
		}
		_, _, err := f.Add([]byte(entry), anything)
		if isFirst := name == "a.conflist"; isFirst != (err != nil) || isFirst && !strings.Contains(err.Error(), "not a regular file") {
			t.Errorf("%s: %v", name, err)
		}
		f.remove()
		f.must(os.Remove(f.path(name)))
	}
	f.must(os.Mkdir(f.path("cbr0"), 0o700))
	f.must(unix.Mkfifo(f.path("cbr0/10.conf"), 0o600))
	if _, _, err := f.Add([]byte(entry), anything); err == nil || !strings.Contains(err.Error(), "not a regular file") {
		t.Errorf("a drop-in: %v", err)
	}
	f.must(os.RemoveAll(f.path("cbr0")))
	f.want(map[string]string{"b.conflist": flannel})
}

// TestNames has names of files that uninstall would not find.
func TestNames(t *testing.T) {
	for _, name := range []string{"../a.conflist", "x/a.conflist", ".", ".."} {
		n := Networks{Folder: t.TempDir(), File: name}
		if _, _, err := n.Add([]byte(entry), anything); err == nil || !strings.Contains(err.Error(), name+" is not the name") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := (Networks{Runtime: "docker"}).Check(); err == nil {
		t.Error("an unknown runtime is accepted")
	}
}

// TestByteOrderMark has a character that editors do not show.
func TestByteOrderMark(t *testing.T) {
	for _, file := range []string{"", "a.conflist"} {
		f := newFolder(t)
		f.write("a.conflist", "\ufeff"+flannel)
		f.File = file
		_, _, err := f.Add([]byte(entry), anything)
		if err == nil || !strings.Contains(err.Error(), "a.conflist: line 1, column 1: starts with a byte order mark (U+FEFF): save it without") {
			t.Errorf("--conflist %q: %v", file, err)
		}
	}
}

// TestRuntimes has an unusable first file.
func TestRuntimes(t *testing.T) {
	for what, text := range map[string]string{
		"no JSON": "]", "no plugins": `{"name": "x", "cniVersion": "1.0.0", "plugins": []}`, "nothing in it": `{"name": "x"}`,
	} {
		t.Run(what, func(t *testing.T) {
			f := newFolder(t, "b.conflist")
			f.write("a.conflist", text)
			long := time.Now().Add(-time.Hour)
			f.must(os.Chtimes(f.path("a.conflist"), long, long))
			f.Runtime = Containerd
			if _, _, err := f.Add([]byte(entry), anything); err == nil || !strings.Contains(err.Error(), "a.conflist") ||
				!strings.Contains(err.Error(), "containerd") {
				t.Errorf("containerd: %v", err)
			}
			f.Runtime = CRIO
			f.add("b.conflist")
			f.must(os.Chtimes(f.path("a.conflist"), time.Now(), time.Now()))
			if _, _, err := f.Add([]byte(entry), anything); err == nil {
				t.Error("CRI-O, just written: the next is taken")
			}
			f.remove()
			f.want(map[string]string{"a.conflist": text, "b.conflist": flannel})
		})
	}
}

// dropInFolder makes a network with all its plugins in drop-ins.
func dropInFolder(t *testing.T, dropIns map[string]string) folder {
	f := newFolder(t)
	f.write("a.conflist", bare)
	f.must(os.Mkdir(f.path("cbr0"), 0o700))
	for name, text := range dropIns {
		f.write("cbr0/"+name, text)
	}
	return f
}

const (
	bare   = `{ "cniVersion": "1.0.0", "name": "cbr0" }`
	ptp    = `{ "type": "ptp" }`
	byHand = `{ "type": "xdp-port",   "rules": [] }`
)

// addTo requires the entry to be added to a drop-in. The network must contain it once, as
// its last plugin.
func (f folder) addTo(dropIn string) {
	f.Helper()
	var network []byte
	for range 2 {
		path, _, err := f.Add([]byte(entry), func(_ string, inlined confedit.Inlined) error {
			network = inlined.Text
			return nil
		})
		f.must(err)
		if path != f.path(dropIn) {
			f.Errorf("it was added to %s, not %s", path, dropIn)
		}
	}
	list, err := config.ParseList(network)
	f.must(err)
	if bytes.Count(network, []byte(`"xdp-port"`)) != 1 || list.Entries[0].Index != 1 {
		f.Errorf("the network is\n%s", network)
	}
	if !strings.Contains(f.read(dropIn), "7999") {
		f.Errorf("%s is\n%s", dropIn, f.read(dropIn))
	}
	_, desired, err := f.Desired([]byte(entry))
	if err != nil || !jsondoc.Equal(desired, network) {
		f.Errorf("desired (%v)\n%s\npresent\n%s", err, desired, network)
	}
}

// TestDropIns has all plugins in drop-ins, which libcni 1.3 reads.
func TestDropIns(t *testing.T) {
	for _, test := range []struct{ last, dropIn string }{
		{"10-ptp.conf", "cbr0/99-xdp-port.conf"},
		{"zz.conf", "cbr0/zz_xdp-port.conf"},
	} {
		f := dropInFolder(t, map[string]string{test.last: ptp})
		f.addTo(test.dropIn)
		f.remove()
		f.want(map[string]string{"a.conflist": bare, "cbr0/" + test.last: ptp})
		if left, _ := os.ReadDir(f.path("cbr0")); len(left) != 1 {
			t.Errorf("left: %v", left)
		}
	}
}

// TestEntryIsDropIn has an entry in a drop-in, with and without plugins in the list. Add must
// replace it, and add no second one.
func TestEntryIsDropIn(t *testing.T) {
	for _, list := range []string{bare, `{ "cniVersion": "1.0.0", "name": "cbr0", "plugins": [ { "type": "ptp" } ] }`} {
		dropIns := map[string]string{"50-xdp.conf": byHand}
		if list == bare {
			dropIns["10-ptp.conf"] = ptp
		}
		f := dropInFolder(t, dropIns)
		f.write("a.conflist", list)
		f.addTo("cbr0/50-xdp.conf")
		f.remove()
		f.want(map[string]string{"a.conflist": list, "cbr0/50-xdp.conf": byHand})
	}
}

// TestDropInsBesidePlugins has plugins in the list and in drop-ins. The entry must go into the
// list, because an older libcni reads no drop-ins.
func TestDropInsBesidePlugins(t *testing.T) {
	f := dropInFolder(t, map[string]string{"10-tuning.conf": `{ "type": "tuning" }`})
	f.write("a.conflist", flannel)
	f.add("a.conflist")
	f.remove()
	f.want(map[string]string{"a.conflist": flannel})
}
