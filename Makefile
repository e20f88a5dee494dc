# make help lists the targets.

BIN     := $(CURDIR)/bin
MODULE  := github.com/xdp-port/xdp-port
GO      ?= go
LINT    := $(GO) tool -modfile=$(CURDIR)/.ci/lint/go.mod
PLUGINS := github.com/containernetworking/plugins/plugins

# The reference plugins that tests and demo chain with, in the versions of go.mod.
REFERENCE := main/bridge main/ptp main/loopback ipam/host-local \
	meta/portmap meta/bandwidth meta/tuning meta/firewall

# Modules of their own, for what the product does not need.
MODULES := test/bench test/runtimes test/kubernetes test/schema

# Kernels of test-kernels: Debian's, by VERSION[-rt][/arm64] or newest (sid's), and "here",
# the running one, to compare with. The tests are packages, or some of a package's tests, by
# a regular expression. 5.10, below the minimum, has tests of its own. QUICK=1 takes a sample
# of both. To try a single package:
#
#	make test-kernels KERNELS=newest KERNEL_TESTS=./pkg/datapath
#	make test-kernels KERNELS=6.12/arm64 KERNEL_TESTS=./test/differential
#	make test-kernels KERNELS="6.12 6.12-rt" KERNEL_TESTS=./test/e2e=TestSamples/30-
KERNELS ?= $(if $(QUICK),6.1 newest 6.12/arm64,6.1 6.12 newest 6.12-rt 6.12/arm64 5.10 here)
KERNEL_TESTS ?= $(if $(QUICK),$(KERNEL_SAMPLE),$(ALL_KERNEL_TESTS))
ALL_KERNEL_TESTS := ./pkg/datapath ./pkg/state ./pkg/veth ./test/node ./test/differential ./test/e2e ./test/conformance \
	'./test/crash=^TestKill$$' './test/portctl=^TestDoctor' \
	'./test/flows=^Test(TwoConnectionsFromOnePort|PortUnreachable|LostTable)$$'
KERNEL_SAMPLE := './pkg/datapath=^Test(Load|NoFallback|FlowsMakeRoom|FlowStates|StackFits|FindSKB|FindXDP)' ./test/differential './test/portctl=^TestDoctor' \
	'./test/e2e=^TestSamples$$/^(10-bridge|20-ptp)$$' './test/e2e=^Test(AmbiguousChecksums|RulesAreReplaced)$$' \
	'./test/conformance=^Test(StatusKnowsTCX|InexactMode|GC)$$' './test/crash=^TestKill$$/^ADD$$/^first$$/^clsact$$'

export CGO_ENABLED = 0
export XDP_PORT_BIN = $(BIN)

.PHONY: help build untraced reference image node-image next-image kubernetes containerd generate lint format test test-runtimes test-kubernetes test-kernels kernels-report release test-release nightly demo demo-full bench report clean root suite

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

build: ## build the plugin and the operator's tool into bin/
	$(GO) build -trimpath -buildvcs=false -ldflags "-s -w -X '$(MODULE)/pkg/build.source=$$(.ci/version)'" -o $(BIN)/ ./plugin/...

untraced: ## build the plugin without tracing, to measure what tracing costs
	$(GO) build -trimpath -tags untraced -ldflags "-s -w" -o $(BIN)/xdp-port-untraced ./plugin/xdp-port

reference: ## build cnitool and the reference CNI plugins into bin/
	$(GO) build -trimpath -o $(BIN)/cni/ $(addprefix $(PLUGINS)/,$(REFERENCE))
	$(GO) build -trimpath -o $(BIN)/ github.com/containernetworking/cni/cnitool

image: ## build a container image to try with, bin/echo.tar
	$(GO) -C test/runtimes build -trimpath -ldflags "-s -w" -o $(BIN)/ ./echo
	$(GO) -C .ci/release run ./image localhost/xdp-port/echo:latest $(BIN)/echo.tar $(BIN)/echo

# The same as deploy/kubernetes/Dockerfile makes.
node-image: build ## build the image for Kubernetes, bin/xdp-port.tar
	$(GO) -C .ci/release run ./image localhost/xdp-port/xdp-port:latest $(BIN)/xdp-port.tar $(BIN)/xdp-portctl $(BIN)/xdp-port

# untraced stands for another release: it makes programs with another hash.
next-image: ## build an image to upgrade to, whose programs differ, bin/xdp-port-next.tar, for the tests
	$(GO) build -trimpath -buildvcs=false -tags untraced -ldflags "-s -w" -o $(BIN)/next/ ./plugin/...
	$(GO) -C .ci/release run ./image localhost/xdp-port/xdp-port:next $(BIN)/xdp-port-next.tar $(BIN)/next/xdp-portctl $(BIN)/next/xdp-port

# The first time takes minutes; then they are in Go's cache.
kubernetes: ## build the programs of a Kubernetes cluster into bin/kubernetes/, for the tests
	$(GO) -C test/kubernetes/components build -trimpath -ldflags "-s -w" -o $(BIN)/kubernetes/ tool

containerd: ## build containerd 2 into bin/containerd/, for the tests
	$(GO) -C test/runtimes/containerd build -trimpath -ldflags "-s -w" -tags no_btrfs,no_devmapper,no_zfs,no_tracing \
		-o $(BIN)/containerd/ tool

generate: ## rebuild the BPF objects (needs clang-19, llvm-19 and libbpf-dev of Debian)
	@command -v clang-19 llvm-strip-19 >/dev/null || \
		{ echo "clang-19 or llvm-strip-19 is missing: apt-get install clang-19 llvm-19 libbpf-dev"; exit 1; }
	$(GO) generate ./...

format: ## format Go and C
	$(LINT) gofumpt -l -w $$(git ls-files -co --exclude-standard '*.go')
	clang-format-19 -i bpf/*.c bpf/*.h

lint: ## check the format of Go and C, and the Go code for mistakes
	@test -z "$$($(LINT) gofumpt -l $$(git ls-files -co --exclude-standard '*.go') | tee /dev/stderr)" || \
		{ echo "these files want: make format"; exit 1; }
	clang-format-19 --dry-run -Werror bpf/*.c bpf/*.h
	for module in . $(MODULES); do (cd $$module && $(LINT) golangci-lint run ./...) || exit 1; done

# Packages one by one: they share the kernel, and some count what is loaded.
test: root build untraced reference suite ## run all tests, having installed what Debian has of what they need (as root)
	$(BIN)/suite -install . test/bench test/schema -- -count=1 -p 1 -timeout 40m ./...

suite: ## build the program that runs tests and says what was skipped
	$(GO) build -trimpath -o $(BIN)/ ./test/internal/suite

nightly: root build untraced reference suite ## run the tests that take long, too: hours (as root)
	XDP_PORT_NIGHTLY=1 $(BIN)/suite -install . -- -count=1 -p 1 -timeout 6h ./...

test-runtimes: root build reference image containerd suite ## run the tests with container runtimes (as root)
	$(BIN)/suite test/runtimes -- -count=1 -timeout 20m -skip '^TestRelease' ./...

test-kubernetes: root build reference image node-image next-image containerd kubernetes ## run the tests on a cluster of two nodes (as root)
	@command -v runc >/dev/null || apt-get install -y -qq --no-install-recommends runc || \
		{ echo "runc is missing, and apt-get could not install it"; exit 1; }
	$(GO) -C test/kubernetes test -count=1 -v -timeout 20m ./...

# Emulated processors are slow: XDP_PORT_SLOW has the tests wait so many times
# longer, and send so many times less.
test-kernels: root build reference ## run tests on other kernels, in emulated machines; QUICK=1: a sample (as root)
	XDP_PORT_SLOW=$${XDP_PORT_SLOW:-10} $(GO) run ./test/kernels -kernels "$(KERNELS)" $(KERNEL_TESTS)

# Results are kept in bin/kernels/results, test by test.
kernels-report: ## put the results of test-kernels into docs/
	$(GO) run ./test/kernels -kernels "$(KERNELS)" -report docs/kernels.md

release: ## make a release of the checked-out commit in bin/release: binaries, packages, SBOM; QUICK=1: archives
	.ci/release/run

test-release: root release reference image suite ## make a release and try it on clean machines; QUICK=1: its archives (as root)
	$(BIN)/suite test/runtimes -- -count=1 -timeout 10m -run '^TestRelease$(if $(QUICK),(Archive|Arm64|Binaries|Links)$$)' .

demo: root build reference ## show the main job, for real (as root)
	$(GO) run ./test/demo

demo-full: root build reference ## the same, and each command of the operator's tool (as root)
	$(GO) run ./test/demo -full

bench: root build untraced reference ## measure beside what others use, 15 minutes; QUICK=1: 3 (as root)
	@command -v iperf3 nft iptables-nft >/dev/null || \
		apt-get install -y -qq --no-install-recommends iperf3 nftables iptables || \
		{ echo "iperf3, nftables or iptables is missing, and apt-get could not install it"; exit 1; }
	$(GO) -C test/bench build -trimpath -o $(BIN)/bench .
	$(BIN)/bench -o bench.json $(if $(QUICK),-quick)

report: ## put bench.json into docs/ and the README
	$(GO) -C test/bench run ./report -i $(CURDIR)/bench.json -root $(CURDIR)

root:
	@test "$$(id -u)" = 0 || { echo "this target makes network namespaces: run it as root"; exit 1; }

clean: ## remove what was built
	rm -rf $(BIN)
