package install

import (
	"os"
	"syscall"
)

// Folder is the one that is at a path at some time. Another may come in its place:
// who removes a network add-on may remove the whole folder. A watch, or a mount
// in a container, stays with the old one, and never hears of the new.
type Folder struct {
	path string
	// open keeps the file system from giving the folder's number to another.
	open *os.File
}

// OpenFolder returns the folder that is at a path now. The caller must close it.
func OpenFolder(path string) (Folder, error) {
	file, err := os.Open(path)
	return Folder{path, file}, err
}

// Path is where the folder was.
func (f Folder) Path() string { return f.path }

// Close forgets the folder.
func (f Folder) Close() error { return f.open.Close() }

// IsLost tells whether the folder was removed, though perhaps on the other side of
// a mount, or another is at its path.
func (f Folder) IsLost() bool {
	own, err := f.open.Stat()
	if err != nil {
		return true
	}
	if stat, ok := own.Sys().(*syscall.Stat_t); ok && stat.Nlink == 0 {
		return true
	}
	now, err := os.Stat(f.path)
	return err != nil || !os.SameFile(own, now)
}
