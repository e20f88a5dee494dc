// Package bpffs finds, mounts, locks and walks the BPF file system that holds the state of
// xdp-port.
//
// Create and Lock return the lock on the state folder. Ready says whether Create can
// succeed, and Visible whether the state can be read at all. Other mounts can hide
// the state: ip netns exec does, and so does a file system mounted above /sys.
package bpffs

import (
	"golang.org/x/sys/unix"
)

const (
	// MountPoint is the place of the BPF file system.
	MountPoint = "/sys/fs/bpf"
	// Folder is the state folder.
	Folder = MountPoint + "/xdp-port"
	// MountCommand mounts a BPF file system at MountPoint. The default mode is open to
	// all users.
	MountCommand = "mount -t bpf -o mode=0700 bpf " + MountPoint
)

// IsMounted reports whether a BPF file system is mounted at MountPoint.
func IsMounted() bool { return isBPFFS(MountPoint) }

// IsOpen reports whether other users can write to the BPF file system. They could
// make the state folder before xdp-port does.
func IsOpen() bool {
	var stat unix.Stat_t
	return IsMounted() && unix.Stat(MountPoint, &stat) == nil && stat.Mode&0o022 != 0
}

func isBPFFS(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.BPF_FS_MAGIC
}
