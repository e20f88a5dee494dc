package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/containernetworking/cni/pkg/types"
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

// firstVersion is the first version of CNI that has an operation, where not all do.
var firstVersion = map[string]string{"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}

// Refusal says why the CNI library hands a configuration on to no operation, with
// the place and the fix, where the library has Go's words. It returns nil if it
// finds no reason.
func Refusal(stdin []byte, operation string) *types.Error {
	document, err := parseDocument(stdin)
	if err != nil {
		return refusal("stdin: ", err)
	}
	p := new(parser)
	o := object{value: document}
	for _, key := range []string{"name", "cniVersion"} {
		if v := document.at(key); v != nil {
			o.set(key, v)
		}
	}
	given := o.in("cniVersion")
	require(p, o, "name", "give the network one", readNetworkName)
	if _, isText := given.text(); !isText && !isUnset(given) {
		p.report(given, "%s is not a string: write %q", given, newest())
	}
	if err := p.err(); err != nil {
		return refusal("", err)
	}
	return refuseVersion(given, operation)
}

// refusal is a mistake as a CNI error, with words before it.
func refusal(before string, err error) *types.Error {
	var mistakes *Error
	if !errors.As(err, &mistakes) {
		return nil
	}
	e := mistakes.CNI()
	e.Msg = before + e.Msg
	return e
}

func refuseVersion(given *value, operation string) *types.Error {
	text, _ := given.text()
	first := firstVersion[operation]
	problem := ""
	switch {
	case isUnset(given):
		problem = fmt.Sprintf("cniVersion is missing, which stands for version 0.1.0 of CNI: write %q", newest())
	case !slices.Contains(Versions, text):
		problem = "cniVersion: " + unspoken(given)
	case first != "" && slices.Index(Versions, text) < slices.Index(Versions, first):
		problem = fmt.Sprintf("cniVersion: version %s of CNI has no %s: write %s or later", given, operation, first)
	default:
		return nil
	}
	return types.NewError(types.ErrIncompatibleCNIVersion, problem, "")
}

// unspoken says that no version given is spoken here.
func unspoken(given *value) string {
	return fmt.Sprintf("xdp-port does not speak version %s of CNI: write one of %s", given, strings.Join(Versions, ", "))
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
