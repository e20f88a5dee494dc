package main

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Packages that the tests need in a machine that cannot run this one's programs, and their release of
// Debian.
const (
	rootSuite    = "trixie"
	rootPackages = "base-files base-passwd bash bind9-dnsutils busybox-static coreutils curl dash dnsmasq-base findutils gawk grep " +
		"iperf3 iproute2 iptables kmod libcap2-bin mount netcat-openbsd nftables nginx-light procps sed util-linux wrk"
)

// rootOf returns the folder with the programs of a machine. If the processor is this machine's, so is
// the folder.
func rootOf(arch, cache string) (string, error) {
	if arch == runtime.GOARCH {
		return "/", nil
	}
	root := filepath.Join(cache, fmt.Sprintf("root-%s-%s-%08x", rootSuite, arch, crc32.ChecksumIEEE([]byte(rootPackages))))
	if _, err := os.Stat(root); err == nil {
		return root, nil
	}
	apt, err := openApt(cache, rootSuite, arch)
	if err != nil {
		return "", err
	}
	return root, apt.unpackAll(strings.Fields(rootPackages), root)
}

// busybox is the machine's first program, before it has the files of a root.
func (k *kernel) busybox() (string, error) {
	for _, folder := range []string{"bin", "usr/bin"} {
		path := filepath.Join(k.files, folder, "busybox")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s has no busybox: apt-get install busybox-static", k.files)
}
