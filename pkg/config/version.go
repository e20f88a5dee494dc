package config

import (
	"encoding/json"
	"slices"

	"github.com/containernetworking/cni/pkg/version"
)

// newest is the newest version of CNI that xdp-port speaks.
func newest() string { return Versions[len(Versions)-1] }

// ForDel returns a configuration in a version that xdp-port speaks, whichever it
// has: what DEL needs of it is the same in all, also in those to come.
func ForDel(stdin []byte) []byte {
	if slices.Contains(Versions, versionOf(stdin)) {
		return stdin
	}
	return inNewest(stdin)
}

// ForGC does the same for versions to come. Before 1.1.0 there was no GC.
func ForGC(stdin []byte) []byte {
	if newer, err := version.GreaterThan(versionOf(stdin), newest()); err != nil || !newer {
		return stdin
	}
	return inNewest(stdin)
}

// versionOf returns the version of CNI of a configuration; empty if it has none.
func versionOf(stdin []byte) string {
	var conf struct {
		CNIVersion any `json:"cniVersion"`
	}
	_ = json.Unmarshal(stdin, &conf) // what is no JSON has none
	text, _ := conf.CNIVersion.(string)
	return text
}

// inNewest leaves what is no object to the CNI library, which refuses it.
func inNewest(stdin []byte) []byte {
	members := map[string]json.RawMessage{}
	if json.Unmarshal(stdin, &members) != nil || members == nil {
		return stdin
	}
	return withVersion(stdin, newest())
}
