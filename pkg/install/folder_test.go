package install

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFolder has a folder removed, and another come in its place. That below a
// mount it is lost as well is tried with the agent, in test/portctl.
func TestFolder(t *testing.T) {
	f := folder{T: t}
	path := filepath.Join(t.TempDir(), "net.d")
	if _, err := OpenFolder(path); err == nil {
		t.Error("found one that is not there")
	}
	f.must(os.Mkdir(path, 0o700))
	found, err := OpenFolder(path)
	f.must(err)
	f.must(os.WriteFile(filepath.Join(path, "a"), nil, 0o600))
	if found.IsLost() {
		t.Error("lost, though only a file came")
	}
	f.must(os.RemoveAll(path))
	if !found.IsLost() {
		t.Error("not lost, though it was removed")
	}
	f.must(os.Mkdir(path, 0o700))
	if !found.IsLost() {
		t.Error("not lost, though another is there")
	}
	f.must(found.Close())

	found, err = OpenFolder(path)
	f.must(err)
	defer found.Close()
	f.must(os.Rename(path, path+".old"))
	if !found.IsLost() {
		t.Error("not lost, though it was moved")
	}
}
