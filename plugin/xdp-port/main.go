// xdp-port is a chained CNI plugin that rewrites the ports of a container's
// packets by an XDP program on the host side of its veth.
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
	// A process of some milliseconds, which needs a few megabytes, is over before
	// collecting garbage would pay; the limit is for what was not thought of.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(64 << 20)
	// A runtime that is gone reads no result: ADD takes off again what it attached,
	// where the signal would end it.
	signal.Ignore(unix.SIGPIPE)
	// Or else skel looks whether the namespace is the host's own: behind ADD,
	// which has seen to that, and if skel cannot tell it prints an error behind
	// the result; and before DEL, which has no use for it, though it may lead
	// there by now, as /proc/PID/ns/net does when a process of the host has the PID.
	_ = os.Setenv("CNI_NETNS_OVERRIDE", "true")
	// skel insists on a path, which the specification leaves to the runtime.
	// Nothing is looked for there.
	if os.Getenv("CNI_PATH") == "" {
		_ = os.Setenv("CNI_PATH", os.DevNull)
	}
	command := os.Getenv("CNI_COMMAND")
	stdin := readStdin(command)
	refused := skel.PluginMainFuncsWithError(verbs, version.PluginSupports(config.Versions...),
		"CNI plugin xdp-port: rewrites the ports of a container's packets")
	if refused != nil {
		if err := printRefusal(explained(refused, command, stdin)); err != nil {
			fmt.Fprintln(os.Stderr, "xdp-port: print the error:", err, "-", refused)
		}
		os.Exit(1)
	}
}

var verbs = skel.CNIFuncs{
	Add:    guarded("ADD", add),
	Del:    guarded("DEL", del),
	Check:  guarded("CHECK", check),
	GC:     guarded("GC", gc),
	Status: guarded("STATUS", status),
}
