package machine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// initName is the name of the program when it is a machine's first process.
const initName = "xdp-port-machine"

// Only the main goroutine runs on the main thread. The first process of a machine
// must enter it with this thread, and no other goroutine may do so, because the main
// thread cannot end like other threads.
func init() { runtime.LockOSThread() }

// Main runs the first process of a machine if the program is one, and then does not
// return.
func Main() {
	if os.Args[0] != initName {
		return
	}
	if err := layOut(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println("ready")
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0) // the kernel then ends all other processes
	}()
	reap()
}

// reap waits for processes without a parent.
func reap() {
	children := make(chan os.Signal, 1)
	signal.Notify(children, unix.SIGCHLD)
	for range children {
		for {
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 && !errors.Is(err, unix.EINTR) {
				break
			}
		}
	}
}

// layOut changes the host's file system into the machine's, once the process is in the
// machine's cgroups.
func layOut() error {
	if _, err := os.Stdin.Read(make([]byte, len("go\n"))); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
		return fmt.Errorf("unshare cgroups: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make all mounts private: %w", err)
	}
	for _, step := range []func() error{mountAll, mountCgroups, writeFiles, loopback} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func mountAll() error {
	if err := errors.Join(mount("proc", "/proc", ""), mount("tmpfs", "/run", "mode=755"), mount("tmpfs", "/dev/shm", "")); err != nil {
		return err
	}
	for _, folder := range []string{"/etc", "/opt", "/usr", "/var/lib", "/var/log"} {
		if err := mountOverlay(folder); err != nil {
			return err
		}
	}
	for _, folder := range []string{
		"/etc/cni", "/etc/containerd", "/opt/cni", "/var/lib/cni", "/var/lib/containerd", "/var/lib/containers",
		"/var/log/pods", "/run/tmp",
	} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		if err := mount("tmpfs", folder, "mode=755"); err != nil {
			return err
		}
	}
	return mount("bpf", "/sys/fs/bpf", "mode=700")
}

// mountOverlay directs all changes below the folder to /run, which belongs to the
// machine.
func mountOverlay(folder string) error {
	store := filepath.Join("/run/machine", folder)
	upper, work := filepath.Join(store, "upper"), filepath.Join(store, "work")
	if err := errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)); err != nil {
		return err
	}
	return mount("overlay", folder, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", folder, upper, work))
}

func mount(kind, path, options string) error {
	if err := unix.Mount(kind, path, kind, 0, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, path, err)
	}
	return nil
}

// writeFiles makes the machine independent of the host's name service.
func writeFiles() error {
	for path, content := range map[string]string{
		"/etc/resolv.conf": "# no name server\n",
		"/etc/hosts":       "127.0.0.1 localhost\n",
	} {
		_ = os.Remove(path) // it may be a dangling link
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func loopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(lo)
}
