package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// version is a kernel as the user names it: VERSION[-rt], for example 6.12 or
// 6.12-rt.
type version struct {
	suite  string // of Debian
	flavor string // cloud or rt
	arch   string // as Debian and Go call it
}

// suites are the releases of Debian that have a version.
var suites = map[string]string{
	"5.10":   "bullseye",
	"6.1":    "bookworm",
	"6.12":   "trixie",
	"newest": "sid",
}

// running names the kernel of this machine.
const running = "here"

func parseVersion(name string) (version, error) {
	number, realTime := strings.CutSuffix(name, "-rt")
	suite, ok := suites[number]
	if !ok {
		return version{}, fmt.Errorf("unknown kernel %q: want %s, each with or without -rt, or %s",
			name, strings.Join(slices.Sorted(maps.Keys(suites)), ", "), running)
	}
	flavor := "cloud"
	if realTime {
		flavor = "rt"
	}
	return version{suite, flavor, "amd64"}, nil
}

// metapackage depends on the newest image.
func (v version) metapackage() string { return imagePrefix + v.flavor + "-" + v.arch }

const imagePrefix = "linux-image-"
