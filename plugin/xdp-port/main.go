// xdp-port is a chained CNI plugin that rewrites the ports of a container's packets with an
// XDP program on the host side of its veth.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/build"
	"github.com/xdp-port/xdp-port/pkg/config"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "--version" {
		fmt.Println("xdp-port", build.Read())
		return
	}
	// The process runs for some milliseconds and needs a few megabytes, so garbage collection
	// does not pay. The limit covers unexpected cases.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(64 << 20)
	// If the runtime is gone and nobody reads the result, ADD removes its attachment. The
	// signal would end the process first.
	signal.Ignore(unix.SIGPIPE)
	// Without the variable skel checks whether the namespace is the host's own. It does so
	// after ADD, which has checked that already, and a failed check prints an error after the
	// result. It also does so before DEL, which does not need the namespace, and the path may
	// lead to the host by then: /proc/PID/ns/net does if a process of the host has the PID.
	_ = os.Setenv("CNI_NETNS_OVERRIDE", "true")
	// skel requires a path, which the specification makes optional. The plugin searches
	// nothing there.
	if os.Getenv("CNI_PATH") == "" {
		_ = os.Setenv("CNI_PATH", os.DevNull)
	}
	command := os.Getenv("CNI_COMMAND")
	stdin := readStdin(command)
	refused := skel.PluginMainFuncsWithError(operations, version.PluginSupports(config.Versions...),
		"CNI plugin xdp-port: rewrites the ports of a container's packets")
	if refused != nil {
		if err := printRefusal(explained(refused, command, stdin)); err != nil {
			fmt.Fprintln(os.Stderr, "xdp-port: print the error:", err, "-", refused)
		}
		os.Exit(1)
	}
}

// operations are the operations of the CNI specification.
var operations = skel.CNIFuncs{
	Add:    guarded("ADD", add),
	Del:    guarded("DEL", del),
	Check:  guarded("CHECK", check),
	GC:     guarded("GC", gc),
	Status: guarded("STATUS", status),
}
