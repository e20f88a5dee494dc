package veth

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/containernetworking/plugins/pkg/netlinksafe"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ErrNetNS is returned when the container's network namespace is of no use: it
// is not there, or it is the host's own.
var ErrNetNS = errors.New("the container's network namespace")

// openForeign opens a namespace that must not be the caller's own: there, the
// "container's interface" would be one of the host's.
func openForeign(path string) (netns.NsHandle, error) {
	container, err := netns.GetFromPath(path)
	if err != nil {
		return netns.None(), fmt.Errorf("%w %q cannot be opened: %w", ErrNetNS, path, err)
	}
	if err := refuseOwn(container, path); err != nil {
		container.Close()
		return netns.None(), err
	}
	return container, nil
}

// refuseOwn refuses what is no network namespace, or the one of the calling
// thread, which is the host's.
func refuseOwn(container netns.NsHandle, path string) error {
	kind, err := unix.IoctlRetInt(int(container), unix.NS_GET_NSTYPE)
	if err != nil || kind != unix.CLONE_NEWNET {
		return fmt.Errorf("%w %q is not one: give a path such as /var/run/netns/NAME or /proc/PID/ns/net",
			ErrNetNS, path)
	}
	own, err := netns.Get()
	if err != nil {
		return fmt.Errorf("%w: open the host's network namespace: %w", ErrUnknown, err)
	}
	defer own.Close()
	if container.Equal(own) {
		return fmt.Errorf("%w %q is the host's own: a container on the host's network has no veth to attach to",
			ErrNetNS, path)
	}
	return nil
}

// handleIn opens netlink in a namespace. It does not lend itself to
// netlink.NewHandleAt, which takes no notice when the thread cannot come back:
// whatever was attached from there would be attached inside of the container.
// Such a thread ends here, with its goroutine.
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
		// Only the route family: a kernel without, say, xfrm refuses the others.
		handle, err = netlinksafe.NewHandle(unix.NETLINK_ROUTE)
		if netns.Set(own) == nil {
			runtime.UnlockOSThread()
		}
	}()
	<-done
	return handle, err
}
