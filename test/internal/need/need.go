// Package need has tests say which programs of Debian they cannot do without.
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

// packages of Debian, by the programs that tests run.
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

// Program skips the test where a program is missing, and says what helps. In CI,
// which installs all, that fails.
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

// Missing are the packages of Debian that the tests need, and that have programs
// which are not there, to run make test.
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
