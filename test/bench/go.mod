module github.com/xdp-port/xdp-port/test/bench

go 1.26.0

require (
	github.com/cilium/ebpf v0.22.0
	github.com/containernetworking/plugins v1.9.1
	github.com/vishvananda/netlink v1.3.1
	github.com/xdp-port/xdp-port v0.0.0-00010101000000-000000000000
	golang.org/x/sys v0.48.0
	gonum.org/v1/gonum v0.16.0
)

require (
	github.com/containernetworking/cni v1.3.1 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/safchain/ethtool v0.6.2 // indirect
	github.com/vishvananda/netns v0.0.5 // indirect
	golang.org/x/tools v0.49.0 // indirect
)

replace github.com/xdp-port/xdp-port => ../..
