package install

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// replaceFile writes a file in one step, durably: whoever looks finds the old
// text or the new, after a crash of the machine, too. The temporary name has no
// ending that a runtime reads.
func replaceFile(path string, text []byte, like fs.FileInfo) (err error) {
	folder := filepath.Dir(path)
	pattern := "." + filepath.Base(path) + ".*.new"
	sweep(filepath.Join(folder, pattern))
	file, err := os.CreateTemp(folder, pattern)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(text)
	err = errors.Join(err, takeAfter(file, like), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return err
	}
	return syncFolder(folder)
}

// sweep removes what processes that died have left half-written: nobody takes a
// minute over a file.
func sweep(pattern string) {
	left, _ := filepath.Glob(pattern) // the pattern is good
	for _, path := range left {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(path)
		}
	}
}

// takeAfter gives a file the owner and the permissions of another; those of a
// program if there is none.
func takeAfter(file *os.File, like fs.FileInfo) error {
	if like == nil {
		return file.Chmod(programMode)
	}
	stat, ok := like.Sys().(*syscall.Stat_t)
	if ok && (int(stat.Uid) != os.Geteuid() || int(stat.Gid) != os.Getegid()) {
		if err := file.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
			return err
		}
	}
	return file.Chmod(like.Mode().Perm())
}

// removeFile removes a file that may be gone already, durably.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil && !errors.Is(err, unix.EINVAL) { // not all file systems can
		return err
	}
	return nil
}
