// Package need lets tests name the Debian programs that they need.
package need

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// packages are the Debian packages of the programs that tests run.
var packages = map[string]string{
	"git":          "git",
	"ip":           "iproute2",
	"iptables":     "iptables",
	"iptables-nft": "iptables",
	"nft":          "nftables",
	"dnsmasq":      "dnsmasq-base",
	"dig":          "bind9-dnsutils",
	"nginx":        "nginx-light",
	"curl":         "curl",
	"wrk":          "wrk",
	"iperf3":       "iperf3",
	"nc":           "netcat-openbsd",
}

// Program skips the test if a program is missing, and names the package to install.
// CI installs all packages, so there the test fails.
func Program(t testing.TB, programs ...string) {
	t.Helper()
	missing := slices.DeleteFunc(slices.Clone(programs), isThere)
	if len(missing) == 0 {
		return
	}
	message := fmt.Sprintf("missing: %s; apt-get install %s", strings.Join(missing, ", "), strings.Join(packagesOf(missing), " "))
	if os.Getenv("CI") == "true" {
		t.Fatal(message)
	} else {
		t.Skip(message)
	}
}

// Missing returns the Debian packages of missing programs, which make test installs.
func Missing() []string {
	programs := slices.Sorted(maps.Keys(packages))
	return packagesOf(slices.DeleteFunc(programs, isThere))
}

func isThere(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

func packagesOf(programs []string) (names []string) {
	for _, program := range programs {
		name := cmp.Or(packages[program], program)
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}
