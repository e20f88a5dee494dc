package install

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// replaceFile replaces a file in one step, durably. A reader finds the old text or the
// new one, also after a crash of the machine. Runtimes ignore the ending of the
// temporary name.
func replaceFile(path string, text []byte, like fs.FileInfo) (err error) {
	folder := filepath.Dir(path)
	sweep(path)
	file, err := os.CreateTemp(folder, temporaryPrefix(path)+"*"+temporarySuffix)
	if err != nil {
		return explain(err, folder)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(file.Name())
		}
	}()
	_, err = file.Write(text)
	err = errors.Join(err, copyOwner(file, like), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return explain(err, path, folder)
	}
	return syncFolder(folder)
}

// temporarySuffix is the ending of files that are being written.
const temporarySuffix = ".new"

func temporaryPrefix(path string) string { return "." + filepath.Base(path) + "." }

// sweep removes half-written files of dead processes. No live process writes a file for
// a minute.
func sweep(path string) {
	entries, _ := os.ReadDir(filepath.Dir(path)) // an unreadable folder has nothing to remove
	for _, entry := range entries {
		name := entry.Name()
		if !strings.HasPrefix(name, temporaryPrefix(path)) || !strings.HasSuffix(name, temporarySuffix) {
			continue
		}
		if info, err := entry.Info(); err == nil && time.Since(info.ModTime()) > time.Minute {
			_ = os.Remove(filepath.Join(filepath.Dir(path), name))
		}
	}
}

// copyOwner gives a file the owner and the permissions of another file, or the
// permissions of a program if there is none. The owner comes last, because changing the
// permissions of a foreign file needs another capability.
func copyOwner(file *os.File, like fs.FileInfo) error {
	if like == nil {
		return file.Chmod(programMode)
	}
	if err := file.Chmod(like.Mode().Perm()); err != nil {
		return err
	}
	stat, ok := like.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) == os.Geteuid() && int(stat.Gid) == os.Getegid() {
		return nil
	}
	if err := file.Chown(int(stat.Uid), int(stat.Gid)); err != nil {
		return fmt.Errorf("keep the owner and group %d:%d of the file (needs CAP_CHOWN): %w", stat.Uid, stat.Gid, err)
	}
	return nil
}

// explain adds the fix to a refusal. Permissions alone stop root only without
// capabilities.
func explain(err error, paths ...string) error {
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	if errors.Is(err, unix.EACCES) && os.Geteuid() == 0 {
		return fmt.Errorf("%w: it belongs to another user, and this process lacks CAP_DAC_OVERRIDE", err)
	}
	for _, path := range paths {
		switch flags := attributes(path); {
		case flags&unix.STATX_ATTR_IMMUTABLE != 0:
			return fmt.Errorf("%w: %s is immutable: run chattr -i %s", err, path, path)
		case flags&unix.STATX_ATTR_APPEND != 0:
			return fmt.Errorf("%w: %s can only be appended to: run chattr -a %s", err, path, path)
		}
	}
	return err
}

// attributes returns the STATX_ATTR flags of a file that its file system reports.
func attributes(path string) uint64 {
	var stat unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, 0, 0, &stat) != nil {
		return 0
	}
	return stat.Attributes & stat.Attributes_mask
}

// removeFile removes a file durably. It is no error if the file does not exist.
func removeFile(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return explain(err, path, filepath.Dir(path))
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	folder, err := os.Open(path)
	if err != nil {
		return err
	}
	defer folder.Close()
	if err := folder.Sync(); err != nil && !errors.Is(err, unix.EINVAL) { // some file systems cannot
		return err
	}
	return nil
}

const programMode = 0o755

// originalSuffix is the ending of the saved original of a configuration. An empty
// original stands for a file that did not exist. Runtimes read only .conf, .conflist and
// .json.
const originalSuffix = ".xdp-port-original"

// isOwnFile reports whether a file belongs to this package.
func isOwnFile(name string) bool {
	return strings.HasSuffix(name, originalSuffix) ||
		strings.HasPrefix(name, ".") && strings.HasSuffix(name, temporarySuffix)
}
