package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
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
	above := 0
	for _, m := range mounts {
		if m.point == DefaultMount {
			above++
		}
	}
	above-- // the lowest has nothing below
	if above > 0 && isStateBelow(above) {
		return &UnusableError{
			"another file system is mounted above the one at " + DefaultMount + " with the state of running containers",
			"umount " + DefaultMount, ErrHidden,
		}
	}
	return nil
}

// isStateAt tells whether the state is in a file system tree.
func isStateAt(root string) bool {
	return isBPFFS(root+DefaultMount) && unix.Access(root+DefaultRoot, unix.F_OK) == nil
}

// mount is a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).
type mount struct{ point, kind, source string }

func readMounts() (mounts []mount, err error) {
	text, err := os.ReadFile("/proc/thread-self/mountinfo")
	for line := range strings.Lines(string(text)) {
		// 36 35 98:0 / /sys/fs/bpf rw,nosuid shared:1 - bpf bpf rw,mode=700
		before, after, _ := strings.Cut(line, " - ")
		place, what := strings.Fields(before), strings.Fields(after)
		if len(place) >= 5 && len(what) >= 2 {
			mounts = append(mounts, mount{place[4], what[0], what[1]})
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

// isStateBelow tells whether the state is below so many mounts. It takes them off
// one by one in a mount namespace of its own, where nobody else sees that, on a
// thread that ends with it.
func isStateBelow(above int) bool {
	found := make(chan bool)
	go func() {
		runtime.LockOSThread()
		found <- uncover(above) == nil
	}()
	return <-found
}

func uncover(above int) error {
	if err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
		return err
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	err := os.ErrNotExist
	for ; above > 0 && err != nil; above-- {
		if err := unix.Unmount(DefaultMount, unix.MNT_DETACH); err != nil {
			return err
		}
		if isStateAt("") {
			err = nil
		}
	}
	return err
}
