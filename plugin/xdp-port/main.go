// xdp-port is a chained CNI plugin that rewrites the ports of a container's
// packets by an XDP program on the host side of its veth.
package main

import (
	"github.com/containernetworking/cni/pkg/skel"
	"github.com/containernetworking/cni/pkg/version"
)

func main() {
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
