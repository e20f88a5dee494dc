// Package build describes the source of this binary. It collects that only on
// request, because the plugin starts for each operation.
package build

import (
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// source is the output of .ci/version. The linker sets it.
var source string

// Info is the source of a binary.
type Info struct {
	// Version is a tag of the repository, or a pseudo-version with the commit, or
	// "(devel)" if it is unknown. Uncommitted changes add "+dirty".
	Version string `json:"version"`
	// Commit is the commit of the repository, empty if it is unknown.
	Commit string `json:"commit,omitempty"`
	// Programs is a hash over the BPF objects. Containers keep the programs that
	// they started with, and share them with containers of the same hash.
	Programs string `json:"programsHash"`
	Go       string `json:"go"`

	// Time is the time of the commit, or nil if it is unknown.
	Time *time.Time `json:"-"`
}

// Read returns what the Makefile passed to the linker, or else what the Go tool has
// recorded in the binary.
func Read() Info {
	b := Info{Version: "(devel)", Programs: bpf.Hash(), Go: runtime.Version()}
	if words := strings.Fields(source); len(words) == 3 {
		b.Version, b.Commit = words[0], words[1]
		if seconds, err := strconv.ParseInt(words[2], 10, 64); err == nil {
			at := time.Unix(seconds, 0).UTC()
			b.Time = &at
		}
	} else if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		b.Version = info.Main.Version // built by go install
	}
	return b
}

// String returns one line, without the name of the binary.
func (b Info) String() string {
	words := []string{b.Version}
	if b.Commit != "" {
		words = append(words, "commit "+b.Commit)
	}
	return strings.Join(append(words, "programs "+b.Programs, b.Go), ", ")
}
