package state

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/printable"
)

// Key identifies an attachment as CNI does: by network name, container ID and
// interface name.
type Key struct {
	Network   string
	Container string
	Interface string
}

// String returns the key for messages, short and printable.
func (k Key) String() string {
	const enough = 128
	return fmt.Sprintf("interface %s of container %s in network %s", printable.Short(k.Interface, enough),
		printable.Short(k.Container, enough), printable.Short(k.Network, enough))
}

// encode writes the key in the form that decodeKey reads, whatever its length.
func (k Key) encode() string {
	return strings.Join([]string{encodeName(k.Network), encodeName(k.Container), encodeName(k.Interface)}, "/")
}

// decodeKey reverses encode.
func decodeKey(encoded string) (Key, error) {
	parts := strings.Split(encoded, "/")
	if len(parts) != 3 {
		return Key{}, fmt.Errorf("%q is not the key of an attachment", encoded)
	}
	var names [3]string
	for i, part := range parts {
		name, err := decodeName(part)
		if err != nil {
			return Key{}, fmt.Errorf("%q is not the key of an attachment: %w", encoded, err)
		}
		names[i] = name
	}
	return Key{Network: names[0], Container: names[1], Interface: names[2]}, nil
}

// inJSON returns the key as it appears in a runtime's JSON. The kernel allows bytes
// that are not UTF-8 in the name of an interface, and JSON replaces each by U+FFFD.
func (k Key) inJSON() Key {
	return Key{
		Network: string([]rune(k.Network)), Container: string([]rune(k.Container)), Interface: string([]rune(k.Interface)),
	}
}

func compareKeys(a, b Key) int {
	return cmp.Or(cmp.Compare(a.Network, b.Network),
		cmp.Compare(a.Container, b.Container), cmp.Compare(a.Interface, b.Interface))
}

// path returns the path of the key's folder below the attachments of a ruleset.
func (k Key) path() string {
	return strings.Join([]string{fileName(k.Network), fileName(k.Container), fileName(k.Interface)}, "/")
}

// fileName is encodeName with an exception: a name that is too long for a file is cut,
// and ends in a hash of the whole after hashSign.
func fileName(name string) string {
	encoded := encodeName(name)
	switch {
	case encoded == "":
		return hashSign // CNI allows no empty name, but a path must keep its parts
	case len(encoded) <= maxName:
		return encoded
	}
	sum := sha256.Sum256([]byte(name))
	hash := hashSign + hex.EncodeToString(sum[:])
	return encoded[:maxName-len(hash)] + hash
}

// hashSign never results from encodeName.
const hashSign = "%%"

// maxName is the longest name in a file system in bytes, NAME_MAX.
const maxName = 255

// encodeName turns any network name, container ID or interface name into a name that
// bpffs accepts.
//
// It percent-encodes (RFC 3986 section 2.1) all characters but letters, digits, '-'
// and '_', because bpffs refuses dots. The encoding is reversible. Without slashes
// and dots, no name leads out of its folder.
func encodeName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; isUnreserved(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// decodeName reverses encodeName.
func decodeName(encoded string) (string, error) {
	return url.PathUnescape(encoded)
}
