package install

import (
	"os"
	"path/filepath"
	"syscall"
)

// Folder is the one that is at a path at some time. Another may come in its place:
// who removes a network add-on may remove the whole folder, and an upgrade may lead
// a symbolic link elsewhere. A watch, or a mount in a container, stays with the old
// one, and never hears of the new.
type Folder struct {
	path, resolved string
	// open keeps the file system from giving the folder's number to another.
	open *os.File
}

// OpenFolder returns the folder that is at a path now. The caller must close it.
func OpenFolder(path string) (Folder, error) {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return Folder{}, err
	}
	file, err := os.Open(resolved)
	return Folder{path, resolved, file}, err
}

// Path is where the folder was looked for, Resolved where it was, symbolic links
// followed.
func (f Folder) Path() string { return f.path }

// Resolved is where the folder was, symbolic links followed.
func (f Folder) Resolved() string { return f.resolved }

// Close forgets the folder.
func (f Folder) Close() error { return f.open.Close() }

// Fate is what became of a folder.
type Fate int

// The fates.
const (
	// Stays is that of a folder that is where it was.
	Stays Fate = iota
	// Moved tells that another is at the path, and can be used.
	Moved
	// Lost tells that it was removed, and that none is seen in its place; in a
	// container, a new one can only be seen by a new mount.
	Lost
)

// Fate tells what became of the folder.
func (f Folder) Fate() Fate {
	own, err := f.open.Stat()
	if err != nil {
		return Lost
	}
	now, err := os.Stat(f.path)
	switch {
	case err != nil, isRemoved(now):
		return Lost
	case !os.SameFile(own, now):
		return Moved
	}
	return Stays
}

// isRemoved tells whether a folder has no name any more, though perhaps only on
// the other side of a mount.
func isRemoved(folder os.FileInfo) bool {
	stat, ok := folder.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}
