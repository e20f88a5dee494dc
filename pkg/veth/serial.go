package veth

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// SerialOf returns a number that identifies a device of the caller's namespace until
// the next boot, or 0 on failure.
//
// The number is the inode of the device's folder in sysfs. The kernel never reuses
// it, and it stays the same when the device gets another name, address or namespace.
// SerialOf mounts a sysfs of its own, because /sys may show another namespace.
func SerialOf(index int, name string) uint64 {
	sysfs, err := openSysfs()
	if err != nil {
		return 0
	}
	defer unix.Close(sysfs)
	folder, err := unix.Openat(sysfs, "class/net/"+name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(folder)
	var stat unix.Stat_t
	// Two devices may swap names at any time, but an open folder stays with its device.
	if unix.Fstat(folder, &stat) != nil || indexIn(folder) != fmt.Sprint(index) {
		return 0
	}
	return stat.Ino
}

// openSysfs opens the sysfs of the caller's namespace without mounting it anywhere.
func openSysfs() (int, error) {
	fs, err := unix.Fsopen("sysfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return 0, err
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return 0, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, 0)
}

func indexIn(folder int) string {
	file, err := unix.Openat(folder, "ifindex", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(file)
	text := make([]byte, 16)
	n, err := unix.Read(file, text)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text[:n]))
}
