package state

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/printable"
)

// maxName is the length in bytes of the longest name in a file system, NAME_MAX.
const maxName = 255

// encodeName turns any network name, container ID or interface name into one
// that bpffs takes, which refuses dots. It is percent-encoding (RFC 3986
// section 2.1) of all but letters, digits, '-' and '_', so reversible, and
// without a slash or a dot no name can lead out of its folder.
func encodeName(name string) string {
	var b strings.Builder
	for i := range len(name) {
		if c := name[i]; isPlain(c) {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

func isPlain(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '-' || c == '_'
}

// decodeName is the reverse of encodeName.
func decodeName(encoded string) (string, error) {
	return url.PathUnescape(encoded)
}

// Key names an attachment, as CNI identifies one: by network name, container
// ID and interface name.
type Key struct {
	Network   string
	Container string
	Interface string
}

// String returns the key as messages name it, short and printable.
func (k Key) String() string {
	const enough = 128
	return fmt.Sprintf("interface %s of container %s in network %s", printable.Short(k.Interface, enough),
		printable.Short(k.Container, enough), printable.Short(k.Network, enough))
}

// encode writes the key so that decodeKey gets it back, however long its parts.
func (k Key) encode() string {
	return strings.Join([]string{encodeName(k.Network), encodeName(k.Container), encodeName(k.Interface)}, "/")
}

// decodeKey is the reverse of encode.
func decodeKey(encoded string) (Key, error) {
	parts := strings.Split(encoded, "/")
	if len(parts) != 3 {
		return Key{}, fmt.Errorf("%q does not name an attachment", encoded)
	}
	var names [3]string
	for i, part := range parts {
		name, err := decodeName(part)
		if err != nil {
			return Key{}, fmt.Errorf("%q does not name an attachment: %w", encoded, err)
		}
		names[i] = name
	}
	return Key{Network: names[0], Container: names[1], Interface: names[2]}, nil
}

// inJSON returns the key as a runtime's list has it: JSON has U+FFFD for each
// byte that is not UTF-8, which the kernel allows in the name of an interface.
func (k Key) inJSON() Key {
	return Key{
		Network: string([]rune(k.Network)), Container: string([]rune(k.Container)), Interface: string([]rune(k.Interface)),
	}
}

// path returns the key's folder below attachments.
func (k Key) path() string {
	return strings.Join([]string{fileName(k.Network), fileName(k.Container), fileName(k.Interface)}, "/")
}

// fileName is encodeName, but for names that would be too long for a file:
// those end in a hash of the whole, behind a sign that encodeName never makes.
func fileName(name string) string {
	encoded := encodeName(name)
	switch {
	case encoded == "":
		return hashSign // CNI has no empty names, but a path must not lose a part
	case len(encoded) <= maxName:
		return encoded
	}
	sum := sha256.Sum256([]byte(name))
	hash := hashSign + hex.EncodeToString(sum[:])
	return encoded[:maxName-len(hash)] + hash
}

const hashSign = "%%"
