package veth

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// SerialOf returns a number that the kernel gives to a device of the caller's
// namespace when it is made, and to no other one until the machine boots: the inode
// of its folder in sysfs. It stays when the device gets another name, address or
// namespace. Returns 0 if it cannot be found out.
//
// What is mounted at /sys may show another namespace, so this does not use it.
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
	// Devices may swap names meanwhile, but a folder stays that of its device.
	if unix.Fstat(folder, &stat) != nil || indexIn(folder) != fmt.Sprint(index) {
		return 0
	}
	return stat.Ino
}

// openSysfs opens the sysfs of the caller's namespace, which is mounted nowhere.
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
