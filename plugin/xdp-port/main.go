// xdp-port is a chained CNI plugin that rewrites the ports of a container's
// packets by an XDP program on the host side of its veth.
package main

import (
	"os"

	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
)

func main() {
	if os.Getenv("CNI_COMMAND") == "DEL" {
		// DEL has no use for it, and skel would fail if it led to the host's own
		// by now, as /proc/PID/ns/net does when a process of the host has the PID.
		_ = os.Unsetenv("CNI_NETNS")
	}
	skel.PluginMainFuncs(verbs, version.PluginSupports("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"),
		"CNI plugin xdp-port: rewrites the ports of a container's packets")
}

var verbs = skel.CNIFuncs{
	Add:    guarded(add),
	Del:    guarded(del),
	Check:  guarded(check),
	GC:     guarded(gc),
	Status: guarded(status),
}
