package main

import (
	"os/exec"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/bench/internal/traffic"
)

// describe returns what a run depends on.
func describe(core *traffic.Core) result.Machine {
	m := result.Machine{
		Arch: runtime.GOARCH, Cores: runtime.NumCPU(), Go: runtime.Version(),
		RealTime: core.RealTime, Cycles: "counted",
	}
	var name unix.Utsname
	if unix.Uname(&name) == nil {
		m.Kernel = unix.ByteSliceToString(name.Release[:])
	}
	// Outside of a repository there is no commit.
	if commit, err := exec.Command("git", "describe", "--always", "--dirty").Output(); err == nil {
		m.Commit = strings.TrimSpace(string(commit))
	}
	if err := core.CountsCycles(); err != nil {
		m.Cycles = err.Error()
	}
	return m
}
