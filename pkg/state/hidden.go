package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrHidden is returned when the state is in a BPF file system that cannot be seen
// from here. A new one above it would know nothing of what is attached, and what
// is attached by it would go with it.
var ErrHidden = errors.New("the state is hidden")

// checkVisible returns an error wrapping ErrHidden if another file system hides
// the one with the state.
func checkVisible() error {
	mounts, err := readMounts()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBPFFS, err)
	}
	if name := netNSOf(mounts); name != "" && !isBPFFS(DefaultMount) {
		return &UnusableError{
			"ip netns exec hides the one at " + DefaultMount + ", and what is pinned in another goes when the command ends",
			"use nsenter --net=/run/netns/" + name, ErrHidden,
		}
	}
	if !isBPFFS(DefaultMount) && isStateAt("/proc/1/root") {
		return &UnusableError{
			"this mount namespace hides the host's, with the state of running containers, so that what is attached cannot be read",
			"run it in the host's (nsenter --mount --target 1)", ErrHidden,
		}
	}
	if cover := coverOfState(mounts); len(cover) > 0 {
		return &UnusableError{
			cover[0].kind + " at " + cover[0].point + " is mounted above the BPF file system with the state of running containers, " +
				"so that what is attached cannot be read",
			umountCommand(cover), ErrHidden,
		}
	}
	return nil
}

// isStateAt tells whether the state is in a file system tree.
func isStateAt(root string) bool {
	return isBPFFS(root+DefaultMount) && unix.Access(root+DefaultRoot, unix.F_OK) == nil
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

// netNSOf returns the name of the network namespace that ip-netns(8) runs this
// process in, empty if it does not: it mounts a sysfs of that name, without what
// was mounted below the node's.
func netNSOf(mounts []mount) string {
	name := ""
	for _, m := range mounts {
		if m.point == "/sys" && m.kind == "sysfs" {
			name = m.source // the last is on top
		}
	}
	named, err := os.Stat(filepath.Join("/run/netns", filepath.Base(name)))
	own, ownErr := os.Stat("/proc/thread-self/ns/net")
	if err != nil || ownErr != nil || !os.SameFile(named, own) {
		return ""
	}
	return name
}

// coverOfState returns the mounts that hide the state, the uppermost first; nothing
// if it is not hidden.
func coverOfState(mounts []mount) []mount {
	visible := mountOf(mounts, DefaultMount)
	isOther := func(m mount) bool { return m.point == DefaultMount && m.kind == "bpf" && m.device != visible.device }
	if !slices.ContainsFunc(mounts, isOther) {
		return nil
	}
	return takeOff()
}

// mountOf returns the mount that a path leads into.
func mountOf(mounts []mount, path string) mount {
	var stat unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, 0, unix.STATX_MNT_ID, &stat) != nil {
		// A mount at a parent, in which the path is missing, still hides it.
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

// takeOff takes off what is mounted above the state, one by one, and returns that;
// nothing if no state turns up. It does so in a mount namespace of its own, where
// nobody else sees it, on a thread that ends with it.
func takeOff() []mount {
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
		mounts, err := readMounts() // their numbers are other ones here
		if err != nil {
			return nil, err
		}
		top := mountOf(mounts, DefaultMount)
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

// umountCommand takes mounts off again. What is mounted within one goes with it.
func umountCommand(cover []mount) string {
	var commands []string
	for i, m := range cover {
		isWithin := func(later mount) bool { return strings.HasPrefix(m.point, later.point+"/") }
		switch {
		case slices.ContainsFunc(cover[i+1:], isWithin):
		case m.point == DefaultMount:
			commands = append(commands, "umount "+m.point)
		default:
			commands = append(commands, "umount -R "+m.point)
		}
	}
	return strings.Join(commands, " && ")
}
