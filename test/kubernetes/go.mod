// What only the tests on a Kubernetes cluster need.
module github.com/xdp-port/xdp-port/test/kubernetes

go 1.26.0

replace github.com/xdp-port/xdp-port => ../..

require (
	github.com/cilium/ebpf v0.22.0
	github.com/vishvananda/netlink v1.3.1
	github.com/vishvananda/netns v0.0.5
	github.com/xdp-port/xdp-port v0.0.0-00010101000000-000000000000
	golang.org/x/sys v0.50.0
)
