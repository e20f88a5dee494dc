package bpffs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Folders returns the folders that are the given number of levels below top. It does not
// follow links, which are foreign.
func Folders(top string, levels int) ([]string, error) {
	folders := []string{top}
	for range levels {
		var next []string
		for _, folder := range folders {
			entries, err := os.ReadDir(folder)
			if err != nil && !errors.Is(err, os.ErrNotExist) {
				return nil, err
			}
			for _, entry := range entries {
				if entry.IsDir() {
					next = append(next, filepath.Join(folder, entry.Name()))
				}
			}
		}
		folders = next
	}
	return folders, nil
}

// HasFolder reports whether a folder exists the given number of levels below top. It
// stops at the first one, because there can be thousands, and removes empty folders on
// its way. Files are foreign and do not count.
func HasFolder(top string, levels int) (bool, error) {
	if levels == 0 {
		return true, nil
	}
	f, err := os.Open(top)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	defer f.Close()
	for {
		entries, err := f.ReadDir(1)
		if errors.Is(err, io.EOF) {
			RemoveEmpty(top, filepath.Dir(top))
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("%w: list %s: %w", ErrUnusable, top, err)
		}
		if !entries[0].IsDir() {
			continue
		}
		if used, err := HasFolder(filepath.Join(top, entries[0].Name()), levels-1); used || err != nil {
			return used, err
		}
	}
}

// RemoveEmpty removes the folder and its parents below top, as far as they are empty.
func RemoveEmpty(folder, top string) {
	for folder != top {
		if err := unix.Rmdir(folder); err != nil && !errors.Is(err, os.ErrNotExist) {
			return
		}
		folder = filepath.Dir(folder)
	}
}

// RemoveEmptyIn removes the folders in a folder that contain only empty folders.
func RemoveEmptyIn(folder string) {
	children, _ := Folders(folder, 1)
	for _, child := range children {
		RemoveEmptyIn(child)
		_ = unix.Rmdir(child)
	}
}
