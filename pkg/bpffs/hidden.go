package bpffs

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Visible returns an error wrapping ErrUnusable if this mount namespace shows no BPF
// file system at MountPoint, or one that hides the state. Then the attachments
// cannot be read.
func Visible() error {
	if err := checkHidden(); err != nil || IsMounted() {
		return err
	}
	const hint = "ip netns exec hides it: use nsenter --net=/run/netns/NAME instead"
	fix := fmt.Sprintf("%s; or mount one: %s", hint, MountCommand)
	if isBPFFS("/proc/1/root" + MountPoint) {
		fix = "this mount namespace hides the host's; " + hint
	}
	return fmt.Errorf("%w at %s, so the attachments cannot be read: %s", ErrUnusable, MountPoint, fix)
}

// checkHidden returns an error wrapping ErrHidden if another mount hides the file
// system with the state.
func checkHidden() error {
	mounts, err := readMounts()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	if name := netNSOf(mounts); name != "" && !isBPFFS(MountPoint) {
		return &UnusableError{
			"ip netns exec hides the one at " + MountPoint + ", and pins in another one disappear when the command ends",
			"use nsenter --net=/run/netns/" + name, ErrHidden,
		}
	}
	if !isBPFFS(MountPoint) && isStateAt("/proc/1/root") {
		return &UnusableError{
			"this mount namespace hides the host's, so the attachments of running containers cannot be read",
			"run it in the host's mount namespace (nsenter --mount --target 1)", ErrHidden,
		}
	}
	if cover := coverOfState(mounts); len(cover) > 0 {
		return &UnusableError{
			cover[0].kind + " at " + cover[0].point + " is mounted above the one with the state, " +
				"so the attachments of running containers cannot be read",
			umountCommand(cover), ErrHidden,
		}
	}
	return nil
}

// isStateAt reports whether a file system tree contains the state.
func isStateAt(root string) bool {
	return isBPFFS(root+MountPoint) && unix.Access(root+Folder, unix.F_OK) == nil
}

// mount is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mount struct{ id, device, point, kind, source string }

func readMounts() (mounts []mount, err error) {
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	for line := range strings.Lines(string(text)) {
		// 36 35 98:0 / /sys/fs/bpf rw,nosuid shared:1 - bpf bpf rw,mode=700
		before, after, _ := strings.Cut(line, " - ")
		place, what := strings.Fields(before), strings.Fields(after)
		if len(place) >= 5 && len(what) >= 2 {
			mounts = append(mounts, mount{place[0], place[2], place[4], what[0], what[1]})
		}
	}
	return mounts, err
}

// netNSOf returns the name of the network namespace in which ip-netns(8) runs this
// process, or empty. The command mounts a sysfs with that name as its source, without
// the mounts below the node's sysfs.
func netNSOf(mounts []mount) string {
	name := ""
	for _, m := range mounts {
		if m.point == "/sys" && m.kind == "sysfs" {
			name = m.source // the last one is on top
		}
	}
	named, err := os.Stat(filepath.Join("/run/netns", filepath.Base(name)))
	own, ownErr := os.Stat("/proc/thread-self/ns/net")
	if err != nil || ownErr != nil || !os.SameFile(named, own) {
		return ""
	}
	return name
}

// coverOfState returns the mounts that hide the state, the uppermost first, or nothing
// if the state is not hidden.
func coverOfState(mounts []mount) []mount {
	visible := mountOf(mounts, MountPoint)
	isOther := func(m mount) bool { return m.point == MountPoint && m.kind == "bpf" && m.device != visible.device }
	if !slices.ContainsFunc(mounts, isOther) {
		return nil
	}
	return findCover()
}

// mountOf returns the mount that contains a path.
func mountOf(mounts []mount, path string) mount {
	var stat unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &stat) != nil {
		// A mount at a parent hides the path even if the path is missing in it.
		if path == "/" {
			return mount{}
		}
		return mountOf(mounts, filepath.Dir(path))
	}
	id := strconv.FormatUint(stat.Mnt_id, 10)
	i := slices.IndexFunc(mounts, func(m mount) bool { return m.id == id })
	if i < 0 {
		return mount{}
	}
	return mounts[i]
}

// findCover unmounts the mounts above the state one by one, and returns them, or
// nothing if it finds no state. It works in a mount namespace of its own, on a thread
// that ends afterwards, so that no other process is affected.
func findCover() []mount {
	found := make(chan []mount)
	go func() {
		runtime.LockOSThread()
		cover, err := uncover()
		if err != nil {
			cover = nil
		}
		found <- cover
	}()
	return <-found
}

func uncover() (cover []mount, err error) {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return nil, err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, err
	}
	for len(cover) == 0 || !isStateAt("") {
		mounts, err := readMounts() // the numbers differ in this namespace
		if err != nil {
			return nil, err
		}
		top := mountOf(mounts, MountPoint)
		if top.point == "" || top.point == "/" {
			return nil, os.ErrNotExist
		}
		if err := unix.Unmount(top.point, unix.MNT_DETACH); err != nil {
			return nil, err
		}
		cover = append(cover, top)
	}
	return cover, nil
}

// umountCommand returns the command that unmounts the mounts. A mount inside another
// one needs no command of its own.
func umountCommand(cover []mount) string {
	var commands []string
	for i, m := range cover {
		isWithin := func(later mount) bool { return strings.HasPrefix(m.point, later.point+"/") }
		switch {
		case slices.ContainsFunc(cover[i+1:], isWithin):
		case m.point == MountPoint:
			commands = append(commands, "umount "+m.point)
		default:
			commands = append(commands, "umount -R "+m.point)
		}
	}
	return strings.Join(commands, " && ")
}
