// Package build says what this binary was made of. It asks only when called:
// the plugin starts once a verb.
package build

import (
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/xdp-port/xdp-port/pkg/bpf"
)

// source is the output of .ci/version, by way of the linker.
var source string

// Info is what a binary was made of.
type Info struct {
	// Version is a tag of the repository, or a pseudo-version that names the
	// commit, with "+dirty" behind it if there was more than is committed;
	// "(devel)" where it is not known.
	Version string `json:"version"`
	// Commit is the repository's, empty where it is not known.
	Commit string `json:"commit,omitempty"`
	// Programs is a hash over the BPF objects. Containers keep the programs that
	// they began with; those of the same hash share theirs.
	Programs string `json:"programsHash"`
	Go       string `json:"go"`

	// Time is when the commit was made; nil where it is not known.
	Time *time.Time `json:"-"`
}

// Read reads what the Makefile told the linker, or else what the Go tool has
// noted down in the binary.
func Read() Info {
	b := Info{Version: "(devel)", Programs: bpf.Hash(), Go: runtime.Version()}
	if words := strings.Fields(source); len(words) == 3 {
		b.Version, b.Commit = words[0], words[1]
		if seconds, err := strconv.ParseInt(words[2], 10, 64); err == nil {
			at := time.Unix(seconds, 0).UTC()
			b.Time = &at
		}
	} else if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		b.Version = info.Main.Version // by go install
	}
	return b
}

// String is a line without the name of the binary.
func (b Info) String() string {
	words := []string{b.Version}
	if b.Commit != "" {
		words = append(words, "commit "+b.Commit)
	}
	return strings.Join(append(words, "programs "+b.Programs, b.Go), ", ")
}
