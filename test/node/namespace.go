package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namePrefix begins the names of this package's namespaces. The number of the process
// follows, so that parallel tests do not collide and Sweep finds stale namespaces.
const namePrefix = "xdp-port-"

const namespaceDir = "/run/netns"

var made atomic.Int64

// newNamespace makes a named network namespace with lo up.
func newNamespace(role string) (ns.NetNS, error) {
	name := fmt.Sprintf("%s%d-%d-%s", namePrefix, os.Getpid(), made.Add(1), role)
	if err := createNamed(name); err != nil {
		return nil, fmt.Errorf("make the namespace %s: %w", name, err)
	}
	namespace, err := ns.GetNS(filepath.Join(namespaceDir, name))
	if err != nil {
		return nil, err
	}
	return namespace, namespace.Do(func(ns.NetNS) error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		return errors.Join(netlink.LinkSetUp(lo), withoutDAD())
	})
}

// createNamed makes the namespace on its own thread. The goroutine keeps the thread
// locked, so the thread ends with it.
func createNamed(name string) error {
	failed := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		handle, err := netns.NewNamed(name)
		if err == nil {
			err = handle.Close()
		}
		failed <- err
	}()
	return <-failed
}

func removeNamespace(namespace ns.NetNS) error {
	if namespace == nil {
		return nil
	}
	return errors.Join(namespace.Close(), removeNamed(namespace.Path()))
}

func removeNamed(path string) error {
	if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("unmount %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// Sweep removes the namespaces of dead processes. A process calls it before it makes
// any.
func Sweep() error {
	paths, err := filepath.Glob(filepath.Join(namespaceDir, namePrefix+"*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range paths {
		pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(path), namePrefix), "-")
		number, err := strconv.Atoi(pid)
		isAlive := number != os.Getpid() && unix.Kill(number, 0) == nil // the kernel reuses numbers
		if err != nil || isAlive {
			continue
		}
		errs = append(errs, removeNamed(path))
	}
	return errors.Join(errs...)
}

// Forward makes this thread's network namespace a router.
func Forward() error {
	return errors.Join(
		SetSysctl("net/ipv4/ip_forward", "1"),
		SetSysctl("net/ipv6/conf/all/forwarding", "1"),
	)
}

// withoutDAD makes IPv6 addresses usable at once.
func withoutDAD() error {
	return errors.Join(
		SetSysctl("net/ipv6/conf/all/accept_dad", "0"),
		SetSysctl("net/ipv6/conf/default/accept_dad", "0"),
	)
}

// SetSysctl sets a variable of this thread's network namespace.
func SetSysctl(name, value string) error {
	return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0)
}

// configure gives a device addresses and brings it up.
func configure(device string, addresses ...string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	for _, address := range addresses {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return err
		}
		parsed.Flags = unix.IFA_F_NODAD
		if err := netlink.AddrAdd(link, parsed); err != nil {
			return fmt.Errorf("give %s the address %s: %w", device, address, err)
		}
	}
	return netlink.LinkSetUp(link)
}

func addDefaultRoute(device, gateway string) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return err
	}
	return netlink.RouteAdd(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: net.ParseIP(gateway)})
}
