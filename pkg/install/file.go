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

// replaceFile writes a file in one step, durably: whoever looks finds the old
// text or the new, after a crash of the machine, too. The temporary name has no
// ending that a runtime reads.
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
	err = errors.Join(err, takeAfter(file, like), file.Sync(), file.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return explain(err, path, folder)
	}
	return syncFolder(folder)
}

// temporarySuffix ends the names of files that are being written.
const temporarySuffix = ".new"

func temporaryPrefix(path string) string { return "." + filepath.Base(path) + "." }

// sweep removes what processes that died have left half-written: nobody takes a
// minute over a file.
func sweep(path string) {
	entries, _ := os.ReadDir(filepath.Dir(path)) // what cannot be read has nothing for us
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

// takeAfter gives a file the owner and the permissions of another; those of a
// program if there is none. The owner comes last: who has given a file away needs
// another capability to change its permissions.
func takeAfter(file *os.File, like fs.FileInfo) error {
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
		return fmt.Errorf("give the file the owner and group %d:%d that it has (needs CAP_CHOWN): %w", stat.Uid, stat.Gid, err)
	}
	return nil
}

// explain adds what root must do about a refusal: permissions alone stop only a
// root without capabilities.
func explain(err error, paths ...string) error {
	if !errors.Is(err, os.ErrPermission) {
		return err
	}
	if errors.Is(err, unix.EACCES) && os.Geteuid() == 0 {
		return fmt.Errorf("%w: it is another user's, and this process lacks CAP_DAC_OVERRIDE", err)
	}
	for _, path := range paths {
		switch flags := attributes(path); {
		case flags&unix.STATX_ATTR_IMMUTABLE != 0:
			return fmt.Errorf("%w: %s is immutable: chattr -i %s", err, path, path)
		case flags&unix.STATX_ATTR_APPEND != 0:
			return fmt.Errorf("%w: %s can only be appended to: chattr -a %s", err, path, path)
		}
	}
	return err
}

// attributes returns the STATX_ATTR flags of a file, as far as its file system
// tells.
func attributes(path string) uint64 {
	var stat unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, 0, 0, &stat) != nil {
		return 0
	}
	return stat.Attributes & stat.Attributes_mask
}

// removeFile removes a file that may be gone already, durably.
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
	if err := folder.Sync(); err != nil && !errors.Is(err, unix.EINVAL) { // not all file systems can
		return err
	}
	return nil
}
