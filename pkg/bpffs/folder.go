package bpffs

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openOwn opens the state folder, and refuses one that other users can change. The
// mount may be open to all users (mode 1777), so that any of them can make the
// folder first.
func openOwn() (*os.File, error) {
	folder, mode, err := openOwned()
	if err != nil || mode&0o022 == 0 {
		return folder, err
	}
	folder.Close()
	return nil, &UnusableError{
		fmt.Sprintf("%s is open to other users (mode %#o)", Folder, mode), "chmod 0700 " + Folder, errOpen,
	}
}

// openToRemove also opens a state folder that other users can write to. Attachments
// must be removable whatever its mode is, and only root can have pinned them.
func openToRemove() (*os.File, error) {
	folder, _, err := openOwned()
	return folder, err
}

// openOwned opens the state folder, and refuses one that another user made. It also
// returns the permissions.
func openOwned() (*os.File, uint32, error) {
	folder, err := os.OpenFile(Folder, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, err
	}
	switch {
	case errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil, 0, untrusted("is not a folder")
	case err != nil:
		return nil, 0, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(folder.Fd()), &stat); err != nil {
		folder.Close()
		return nil, 0, fmt.Errorf("%w: stat %s: %w", ErrUnusable, Folder, err)
	}
	if int(stat.Uid) != os.Geteuid() {
		folder.Close()
		return nil, 0, untrusted(fmt.Sprintf("belongs to user %d with mode %#o", stat.Uid, stat.Mode&0o777))
	}
	return folder, stat.Mode & 0o777, nil
}

func untrusted(why string) error {
	return &UnusableError{
		Folder + " cannot be trusted, because it " + why,
		"remove it (rm -r " + Folder + "), and close the file system to other users (chmod 0700 " + MountPoint + ")", ErrUntrusted,
	}
}
