// What only the tests with container runtimes need.
module github.com/xdp-port/xdp-port/test/runtimes

go 1.26.0

replace github.com/xdp-port/xdp-port => ../..

require (
	github.com/cilium/ebpf v0.22.0
	github.com/vishvananda/netlink v1.3.1
	golang.org/x/sys v0.50.0
)

require (
	github.com/vishvananda/netns v0.0.5 // indirect
	golang.org/x/sync v0.22.0 // indirect
)
