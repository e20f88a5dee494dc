package veth

import (
	"fmt"
	"runtime"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// openContainer opens the container's namespace. It refuses the caller's own, where
// the "container's interface" would be an interface of the host.
func openContainer(path string) (netns.NsHandle, error) {
	container, err := netns.GetFromPath(path)
	if err != nil {
		return netns.None(), fmt.Errorf("%w: %q cannot be opened: %w", ErrNetNS, shorten(path), err)
	}
	if err := refuseOwn(container, shorten(path)); err != nil {
		container.Close()
		return netns.None(), err
	}
	return container, nil
}

// shorten keeps a long path from pushing the rest of a message out.
func shorten(path string) string {
	const enough = 256
	if runes := []rune(path); len(runes) > enough {
		return string(runes[:enough]) + "…"
	}
	return path
}

// refuseOwn returns an error if the file is no network namespace, or if it is the
// namespace of the calling thread, which is the host's.
func refuseOwn(container netns.NsHandle, path string) error {
	kind, err := unix.IoctlRetInt(int(container), unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return fmt.Errorf("%w: %q is not a network namespace: give a path such as /var/run/netns/NAME or /proc/PID/ns/net",
			ErrNetNS, path)
	}
	own, err := netns.Get()
	if err != nil {
		return fmt.Errorf("%w: open the host's network namespace: %w", ErrLookup, err)
	}
	defer own.Close()
	if container.Equal(own) {
		return fmt.Errorf("%w: %q is the host's own: a container on the host's network has no veth to attach to",
			ErrNetNS, path)
	}
	return nil
}

// handleIn opens netlink in a namespace.
//
// netlink.NewHandleAt ignores a thread that cannot return to the host's namespace,
// and later attachments would happen inside the container. Here the thread ends
// with its goroutine, because it stays locked.
func handleIn(container netns.NsHandle) (handle netlinksafe.Handle, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread()
		var own netns.NsHandle
		if own, err = netns.Get(); err != nil {
			return
		}
		defer own.Close()
		if err = netns.Set(container); err != nil {
			return
		}
		// Only the route family: some kernels lack others, such as xfrm.
		handle, err = netlinksafe.NewHandle(unix.NETLINK_ROUTE)
		if netns.Set(own) == nil {
			runtime.UnlockOSThread()
		}
	}()
	<-done
	return handle, err
}
