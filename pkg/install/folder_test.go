package install

import (
	"os"
	"path/filepath"
	"testing"
)

// TestFolder removes a folder and puts another in its place. test/portctl has the case
// of a mount, with the agent.
func TestFolder(t *testing.T) {
	f := folder{T: t}
	path := filepath.Join(t.TempDir(), "net.d")
	if _, err := OpenFolder(path); err == nil {
		t.Error("found a folder that does not exist")
	}
	f.must(os.Mkdir(path, 0o700))
	found, err := OpenFolder(path)
	f.must(err)
	f.must(os.WriteFile(filepath.Join(path, "a"), nil, 0o600))
	f.wantFate(found, Stays, "only a file came")
	f.must(os.RemoveAll(path))
	f.wantFate(found, Removed, "it was removed")
	f.must(os.Mkdir(path, 0o700))
	f.wantFate(found, Replaced, "another is there")
	f.must(found.Close())

	found, err = OpenFolder(path)
	f.must(err)
	defer found.Close()
	f.must(os.Rename(path, path+".old"))
	f.wantFate(found, Removed, "it was renamed")
}

// TestFolderLink changes a symbolic link, as an upgrade of k3s does.
func TestFolderLink(t *testing.T) {
	f := folder{T: t}
	top := t.TempDir()
	current := filepath.Join(top, "current")
	for _, version := range []string{"one", "two"} {
		f.must(os.MkdirAll(filepath.Join(top, version, "bin"), 0o700))
	}
	f.must(os.Symlink("one", current))
	found, err := OpenFolder(filepath.Join(current, "bin"))
	f.must(err)
	defer found.Close()
	if want := filepath.Join(top, "one", "bin"); found.Resolved() != want {
		t.Errorf("it is %s, want %s", found.Resolved(), want)
	}
	f.wantFate(found, Stays, "nothing happened")
	f.must(os.Symlink("two", current+".new"))
	f.must(os.Rename(current+".new", current))
	f.wantFate(found, Replaced, "the link leads elsewhere")
}

func (f folder) wantFate(found Folder, want Fate, what string) {
	f.Helper()
	if got := found.Fate(); got != want {
		f.Errorf("%s: its fate is %d, want %d", what, got, want)
	}
}
