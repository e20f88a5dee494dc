module github.com/xdp-port/xdp-port/test/schema

go 1.26.0

replace github.com/xdp-port/xdp-port => ../..

require (
	github.com/santhosh-tekuri/jsonschema/v6 v6.0.3
	github.com/xdp-port/xdp-port v0.0.0
)

require (
	github.com/containernetworking/cni v1.3.1 // indirect
	golang.org/x/text v0.42.0 // indirect
)
