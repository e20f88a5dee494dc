package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// version is a kernel in the user's notation: VERSION[-rt][/ARCHITECTURE], for example 6.12, 6.12-rt or
// 6.12/arm64.
type version struct {
	name   string
	suite  string // of Debian
	flavor string // cloud or rt
	arch   string // the name in Debian and Go
}

// suites are the releases of Debian that contain a version.
var suites = map[string]string{
	"5.10":   "bullseye",
	"6.1":    "bookworm",
	"6.12":   "trixie",
	"newest": "sid",
}

// belowMinimum is a kernel that the product does not support. Tests on it only check error messages.
const belowMinimum = "5.10"

var belowMinimumTests = []string{"./test/conformance=^TestBelowMinimum$", "./test/portctl=^TestDoctorBelowMinimum$"}

// isBelowMinimum takes a kernel's name on the command line.
func isBelowMinimum(name string) bool { return strings.HasPrefix(name, belowMinimum) }

// running names the kernel of this machine.
const running = "here"

func parseVersion(name string) (version, error) {
	number, arch, named := strings.Cut(name, "/")
	if !named {
		arch = "amd64"
	}
	number, realTime := strings.CutSuffix(number, "-rt")
	suite := suites[number]
	if _, known := hardware[arch]; suite == "" || !known {
		return version{}, fmt.Errorf("unknown kernel %q: want %s, each also with -rt, /arm64 or both behind it, or %s",
			name, strings.Join(slices.Sorted(maps.Keys(suites)), ", "), running)
	}
	flavor := "cloud"
	if realTime {
		flavor = "rt"
	}
	return version{name, suite, flavor, arch}, nil
}

// metapackage is a package that depends on the newest image.
func (v version) metapackage() string { return imagePrefix + v.flavor + "-" + v.arch }

const imagePrefix = "linux-image-"
