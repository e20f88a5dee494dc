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

// Versions are the versions of CNI that xdp-port supports.
var Versions = []string{"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"}

// newest returns the newest version of CNI that xdp-port supports.
func newest() string { return Versions[len(Versions)-1] }

// ForDel returns a configuration with a version that xdp-port supports, whatever its own
// version is. The part that DEL needs is the same in all versions, also in future ones.
func ForDel(stdin []byte) []byte {
	if slices.Contains(Versions, versionOf(stdin)) {
		return stdin
	}
	return inNewest(stdin)
}

// ForGC does the same for future versions. Versions before 1.1.0 have no GC.
func ForGC(stdin []byte) []byte {
	if newer, err := version.GreaterThan(versionOf(stdin), newest()); err != nil || !newer {
		return stdin
	}
	return inNewest(stdin)
}

// firstVersion is the first version of CNI with an operation, if not all versions have it.
var firstVersion = map[string]string{"CHECK": "0.4.0", "GC": "1.1.0", "STATUS": "1.1.0"}

// Refusal says why the CNI library refuses a configuration before it calls an operation. It
// names the place and the fix; the library uses the words of Go. It returns nil if it finds
// no reason.
func Refusal(stdin []byte, operation string) *types.Error {
	document, err := parseDocument(stdin)
	if err != nil {
		return refusal("stdin: ", err)
	}
	p := new(parser)
	o := object{value: document}
	for _, key := range []string{"name", "cniVersion"} {
		if v := document.At(key); v != nil {
			o.set(key, v)
		}
	}
	given := o.in("cniVersion")
	require(p, o, "name", "give the network a name", readNetworkName)
	if _, isText := given.Text(); !isText && !isUnset(given) {
		p.report(given, "%s is not a string: write %q", given, newest())
	}
	if err := p.err(); err != nil {
		return refusal("", err)
	}
	return refuseVersion(given, operation)
}

// refusal returns an *Error as a CNI error. before is the beginning of the message.
func refusal(before string, err error) *types.Error {
	var invalid *Error
	if !errors.As(err, &invalid) {
		return nil
	}
	e := invalid.CNI()
	e.Msg = before + e.Msg
	return e
}

// refuseVersion returns the error of an unsupported version, or nil.
func refuseVersion(given *value, operation string) *types.Error {
	text, _ := given.Text()
	first := firstVersion[operation]
	problem := ""
	switch {
	case isUnset(given):
		problem = fmt.Sprintf("cniVersion is missing, which means version 0.1.0 of CNI: write %q", newest())
	case !slices.Contains(Versions, text):
		problem = "cniVersion: " + unsupported(given)
	case first != "" && slices.Index(Versions, text) < slices.Index(Versions, first):
		problem = fmt.Sprintf("cniVersion: version %s of CNI has no %s: write %s or later", given, operation, first)
	default:
		return nil
	}
	return types.NewError(types.ErrIncompatibleCNIVersion, problem, "")
}

// unsupported is the problem of a version that xdp-port does not support.
func unsupported(given *value) string {
	return fmt.Sprintf("xdp-port does not support version %s of CNI: write one of %s", given, strings.Join(Versions, ", "))
}

// versionOf returns the CNI version of a configuration, or empty if it has none.
func versionOf(stdin []byte) string {
	var conf struct {
		CNIVersion any `json:"cniVersion"`
	}
	_ = json.Unmarshal(stdin, &conf) // a text that is not JSON has no version
	text, _ := conf.CNIVersion.(string)
	return text
}

// inNewest sets the newest version. It leaves a text that is not an object to the CNI
// library, which refuses it.
func inNewest(stdin []byte) []byte {
	members := map[string]json.RawMessage{}
	if json.Unmarshal(stdin, &members) != nil || members == nil {
		return stdin
	}
	return withVersion(stdin, newest())
}
