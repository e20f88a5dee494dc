package install

import (
	"os"
	"path/filepath"
	"syscall"
)

// Folder is the folder that was at a path at some instant.
//
// Another folder can take its place: an uninstaller may remove the whole folder, and an
// upgrade may change a symbolic link. A watch, or a mount in a container, stays with the
// old folder and never sees the new one.
type Folder struct {
	path, resolved string
	// open keeps the inode number from being reused.
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

// Path returns the path given to OpenFolder.
func (f Folder) Path() string { return f.path }

// Resolved returns the path of the folder without symbolic links.
func (f Folder) Resolved() string { return f.resolved }

// Close releases the folder.
func (f Folder) Close() error { return f.open.Close() }

// Fate is the present state of a folder.
type Fate int

// The fates.
const (
	// Stays is the fate of a folder that is still at its path.
	Stays Fate = iota
	// Replaced is the fate of a folder with another, usable one at its path.
	Replaced
	// Removed is the fate of a folder without a visible successor. A container sees a
	// successor only through a new mount.
	Removed
)

// Fate returns the present state of the folder.
func (f Folder) Fate() Fate {
	own, err := f.open.Stat()
	if err != nil {
		return Removed
	}
	now, err := os.Stat(f.path)
	switch {
	case err != nil, isRemoved(now):
		return Removed
	case !os.SameFile(own, now):
		return Replaced
	}
	return Stays
}

// isRemoved reports whether a folder has no name any more. A mount can still show a
// removed folder.
func isRemoved(folder os.FileInfo) bool {
	stat, ok := folder.Sys().(*syscall.Stat_t)
	return ok && stat.Nlink == 0
}
