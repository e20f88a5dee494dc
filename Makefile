# make help lists the targets, in the groups that "##@" begins.

BIN     := $(CURDIR)/bin
MODULE  := github.com/xdp-port/xdp-port
GO      ?= go
IMAGE   := $(GO) -C .ci/release run ./image
LINT    := $(GO) tool -modfile=$(CURDIR)/.ci/lint/go.mod
PLUGINS := github.com/containernetworking/plugins/plugins

# Reference plugins that tests and demo chain with, in the versions of go.mod.
REFERENCE := main/bridge main/ptp main/loopback ipam/host-local \
	meta/portmap meta/bandwidth meta/tuning meta/firewall

# Modules of their own keep what only they need out of the product's go.mod. The linter
# checks all of them.
TEST_MODULES := test/bench test/runtimes test/kubernetes test/schema
MODULES := $(TEST_MODULES) .ci/lint .ci/release

# make test PKG=./test/e2e RUN=TestSamples runs some tests of one package: PKG is a
# package, in any module, RUN a regular expression of go test -run.
PKG ?=
RUN ?=
PKG_MODULE = $(firstword $(foreach m,$(TEST_MODULES),$(if $(filter ./$(m) ./$(m)/%,$(PKG)),$(m))) .)
ONE_PACKAGE = $(patsubst ./$(PKG_MODULE)%,.%,$(PKG))

# Packages with tests for make unit. With -short, their tests that need root are skipped.
UNIT := ./pkg/... ./plugin/... ./test/internal/... ./test/packet ./test/kernels

# Kernels of test-kernels: Debian's, by VERSION[-rt][/arm64] or newest (sid's), and "here",
# the running one, for comparison. KERNEL_TESTS are packages, or PACKAGE=REGEXP for some of a
# package's tests. 5.10 is below the minimum and has tests of its own. QUICK=1 takes a sample
# of both. To try a single package:
#
#	make test-kernels KERNELS=newest KERNEL_TESTS=./pkg/datapath
#	make test-kernels KERNELS=6.12/arm64 KERNEL_TESTS=./test/differential
#	make test-kernels KERNELS="6.12 6.12-rt" KERNEL_TESTS=./test/e2e=TestSamples/30-
KERNELS ?= $(if $(QUICK),6.1 newest 6.12/arm64,6.1 6.12 newest 6.12-rt 6.12/arm64 5.10 here)
KERNEL_TESTS ?= $(if $(QUICK),$(KERNEL_SAMPLE),$(ALL_KERNEL_TESTS))
ALL_KERNEL_TESTS := ./pkg/bpf ./pkg/kernel ./pkg/flow ./pkg/trace ./pkg/datapath ./pkg/hook ./pkg/attachment \
	./pkg/state ./pkg/veth ./test/node ./test/differential ./test/e2e ./test/conformance \
	'./test/crash=^TestKill$$' './test/portctl=^TestDoctor' './test/lifecycle=^TestVRF$$/^tc-' \
	'./test/flows=^Test(TwoConnectionsFromOnePort|PortUnreachable|RemovedTable)$$'
KERNEL_SAMPLE := './pkg/datapath=^Test(Load|NoFallback)' './pkg/flow=^Test(FlowsMakeRoom|FlowStates)$$' ./pkg/bpf \
	'./pkg/kernel=^Test(FindSKB|FindXDP)' ./test/differential './test/portctl=^TestDoctor' \
	'./test/e2e=^TestSamples$$/^(10-bridge|20-ptp)$$' './test/e2e=^Test(AmbiguousChecksums|RulesAreReplaced)$$' \
	'./test/conformance=^Test(StatusKnowsTCX|InexactMode|GC)$$' './test/crash=^TestKill$$/^ADD$$/^first$$/^clsact$$'

export CGO_ENABLED = 0
export XDP_PORT_BIN = $(BIN)

.PHONY: help build reference without-tracing image node-image next-image kubernetes containerd suite \
	unit test nightly test-runtimes test-kubernetes test-kernels kernels-report \
	generate format lint words demo demo-full bench report release test-release clean root

help: ## list the targets
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Build

build: ## build the plugin and the operator's tool into bin/
	$(GO) build -trimpath -buildvcs=false -ldflags "-s -w -X '$(MODULE)/pkg/build.source=$$(.ci/version)'" -o $(BIN)/ ./plugin/...

generate: ## rebuild the BPF objects; needs clang-19, llvm-19 and libbpf-dev of Debian
	@command -v clang-19 llvm-strip-19 llvm-objcopy-19 >/dev/null || \
		{ echo "clang-19, llvm-strip-19 or llvm-objcopy-19 is missing: apt-get install clang-19 llvm-19 libbpf-dev"; exit 1; }
	$(GO) generate ./...

# deploy/kubernetes/Dockerfile builds the same image.
node-image: build ## build the image for Kubernetes, bin/xdp-port.tar
	$(IMAGE) localhost/xdp-port/xdp-port:latest $(BIN)/xdp-port.tar $(BIN)/xdp-portctl $(BIN)/xdp-port

clean: ## remove everything in bin/
	rm -rf $(BIN)

##@ Try

demo: root build reference ## show port rewriting with real packets (root)
	$(GO) run ./test/demo

demo-full: root build reference ## also show each command of the operator's tool (root)
	$(GO) run ./test/demo -full

##@ Check

format: ## format Go and C
	$(LINT) gofumpt -l -w $$(git ls-files -co --exclude-standard '*.go')
	clang-format-19 -i bpf/*.c bpf/*.h

lint: ## check formats, imports between packages, common errors, and words
	@test -z "$$($(LINT) gofumpt -l $$(git ls-files -co --exclude-standard '*.go') | tee /dev/stderr)" || \
		{ echo "these files are not formatted: run make format"; exit 1; }
	clang-format-19 --dry-run -Werror bpf/*.c bpf/*.h
	$(GO) -C .ci/lint test -count=1 ./...
	$(GO) -C .ci/lint run ./words $(CURDIR)
	for module in . $(MODULES); do (cd $$module && $(LINT) golangci-lint run ./...) || exit 1; done

words: ## report words that the glossary replaces, .ci/lint/words/glossary.txt
	@$(GO) -C .ci/lint run ./words -report $(CURDIR)

##@ Test

unit: ## run the tests that need neither root nor network namespaces, in a minute
	$(GO) test -short $(UNIT)
	$(GO) -C test/schema test -short ./...

# test/load counts what the whole kernel has loaded, so it runs alone.
SUITE := $(BIN)/suite -install -alone '/test/load$$$$'

test: root build without-tracing reference suite ## run all tests, or some: PKG=./test/e2e RUN=TestSamples (root)
	$(SUITE) $(if $(PKG),$(PKG_MODULE),. test/bench test/schema) -- -count=1 -timeout 40m $(if $(RUN),-run '$(RUN)') $(or $(ONE_PACKAGE),./...)

nightly: root build without-tracing reference suite ## run all tests, and the long ones in full: hours (root)
	XDP_PORT_NIGHTLY=1 $(SUITE) . -- -count=1 -timeout 6h ./...

test-runtimes: root build reference image containerd suite ## run the tests with container runtimes (root)
	$(BIN)/suite test/runtimes -- -count=1 -timeout 20m -skip '^TestRelease' $(if $(RUN),-run '$(RUN)') ./...

test-kubernetes: root build reference image node-image next-image containerd kubernetes ## run the tests on a cluster of two nodes (root)
	@command -v runc >/dev/null || apt-get install -y -qq --no-install-recommends runc || \
		{ echo "runc is missing, and apt-get could not install it"; exit 1; }
	$(GO) -C test/kubernetes test -count=1 -v -timeout 20m $(if $(RUN),-run '$(RUN)') ./...

# Emulated processors are slow. XDP_PORT_SLOW makes tests wait so many times longer, and
# send so many times fewer packets.
test-kernels: root build reference ## run tests on other kernels, in emulated machines; QUICK=1: a sample (root)
	XDP_PORT_SLOW=$${XDP_PORT_SLOW:-10} $(GO) run ./test/kernels -kernels "$(KERNELS)" $(KERNEL_TESTS)

# bin/kernels/results keeps the result of each test.
kernels-report: ## write the results of test-kernels to docs/kernels.md
	$(GO) run ./test/kernels -kernels "$(KERNELS)" -report docs/kernels.md

##@ Measure

bench: root build without-tracing reference ## compare with other tools in 15 minutes; QUICK=1: in 3 (root)
	@command -v iperf3 nft iptables-nft >/dev/null || \
		apt-get install -y -qq --no-install-recommends iperf3 nftables iptables || \
		{ echo "iperf3, nftables or iptables is missing, and apt-get could not install it"; exit 1; }
	$(GO) -C test/bench build -trimpath -o $(BIN)/bench .
	$(BIN)/bench -o bench.json $(if $(QUICK),-quick)

report: ## write bench.json to docs/ and the README
	$(GO) -C test/bench run ./report -i $(CURDIR)/bench.json -root $(CURDIR)

##@ Release

release: ## make a release of the checked-out commit in bin/release; QUICK=1: archives only
	.ci/release/run

test-release: root release reference image suite ## make a release and try it on clean machines; QUICK=1: its archives (root)
	$(BIN)/suite test/runtimes -- -count=1 -timeout 10m -run '^TestRelease$(if $(QUICK),(Archive|Arm64|Binaries|Links)$$)' .

##@ Programs that tests use (other targets build them)

reference: ## build cnitool and the reference CNI plugins into bin/
	$(GO) build -trimpath -o $(BIN)/cni/ $(addprefix $(PLUGINS)/,$(REFERENCE))
	$(GO) build -trimpath -o $(BIN)/ github.com/containernetworking/cni/cnitool

# Benchmarks compare it with the plugin to measure what tracing costs. Its programs have
# another hash, so tests of upgrades take it for another build.
without-tracing: ## build the plugin without the code for tracing
	$(GO) build -trimpath -tags without_tracing -ldflags "-s -w" -o $(BIN)/xdp-port-without-tracing ./plugin/xdp-port

image: ## build a container image that sends and answers packets, bin/echo.tar
	$(GO) -C test/runtimes build -trimpath -ldflags "-s -w" -o $(BIN)/ ./echo
	$(IMAGE) localhost/xdp-port/echo:latest $(BIN)/echo.tar $(BIN)/echo

next-image: ## build the image of another build, to upgrade to, bin/xdp-port-next.tar
	$(GO) build -trimpath -buildvcs=false -tags without_tracing -ldflags "-s -w" -o $(BIN)/next/ ./plugin/...
	$(IMAGE) localhost/xdp-port/xdp-port:next $(BIN)/xdp-port-next.tar $(BIN)/next/xdp-portctl $(BIN)/next/xdp-port

# The first build takes minutes; then Go's cache has the packages.
kubernetes: ## build the programs of a Kubernetes cluster into bin/kubernetes/
	$(GO) -C test/kubernetes/components build -trimpath -ldflags "-s -w" -o $(BIN)/kubernetes/ tool

containerd: ## build containerd 2 into bin/containerd/
	$(GO) -C test/runtimes/containerd build -trimpath -ldflags "-s -w" -tags no_btrfs,no_devmapper,no_zfs,no_tracing \
		-o $(BIN)/containerd/ tool

suite: ## build the program that runs tests and reports skipped ones
	$(GO) build -trimpath -o $(BIN)/ ./test/internal/suite

root:
	@test "$$(id -u)" = 0 || { echo "this target makes network namespaces: run it as root"; exit 1; }
