package config

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/utils"
)

// Identity is the part of a network configuration that DEL needs. DEL must work even if the
// rest has become wrong since ADD.
type Identity struct {
	CNIVersion string
	Name       string
}

// Collection is the part of a network configuration that GC needs.
type Collection struct {
	Identity
	// ValidAttachments are the attachments that GC keeps.
	//
	// Nil means that the runtime gave no list, so GC removes nothing. Empty means that no
	// attachment is valid.
	ValidAttachments []types.GCAttachment
}

// attachmentsKey is the key of a runtime's list of valid attachments.
const attachmentsKey = "cni.dev/valid-attachments"

// ParseIdentity reads the identity in a network configuration, and nothing else.
//
// It returns an *Error if the JSON is malformed or the network has no valid name.
func ParseIdentity(stdin []byte) (*Identity, error) {
	collection, err := parseIdentity(stdin, false)
	if err != nil {
		return nil, err
	}
	return &collection.Identity, nil
}

// ParseCollection reads the identity and the list of valid attachments.
//
// It returns an *Error as ParseIdentity does, and for a list that is not valid.
func ParseCollection(stdin []byte) (*Collection, error) {
	return parseIdentity(stdin, true)
}

func parseIdentity(stdin []byte, withAttachments bool) (*Collection, error) {
	document, err := parseDocument(stdin)
	if err != nil {
		return nil, err
	}
	p := new(parser)
	collection := p.identity(document, withAttachments)
	if err := p.err(); err != nil {
		return nil, err
	}
	return collection, nil
}

// identity accepts keys that are given twice, and uses the last one. Parse reports them.
func (p *parser) identity(document *value, withAttachments bool) *Collection {
	o := object{document, []field{{"name", document.At("name")}}}
	cniVersion, _ := document.At("cniVersion").Text()
	collection := &Collection{Identity: Identity{
		CNIVersion: cniVersion,
		Name:       require(p, o, "name", "give the network a name", readNetworkName),
	}}
	if withAttachments {
		collection.ValidAttachments = p.validAttachments(document.At(attachmentsKey))
	}
	return collection
}

// validAttachments reports entries without a name: a list that is not understood must not
// look like an empty list.
func (p *parser) validAttachments(v *value) []types.GCAttachment {
	if v == nil || v.IsNull() {
		return nil
	}
	attachments := []types.GCAttachment{}
	for _, element := range p.elements(v, "attachments") {
		var a types.GCAttachment
		if err := json.Unmarshal(element.Raw(), &a); err != nil || a.ContainerID == "" || a.IfName == "" {
			p.report(element, `%s is not an attachment, an object with "containerID" and "ifname"`, element)
		}
		attachments = append(attachments, a)
	}
	return attachments
}

// readNetworkName accepts the names that CNI accepts. A name becomes a part of a path.
func readNetworkName(v *value) (string, error) {
	name, ok := v.Text()
	if !ok {
		return "", notAString(v)
	}
	if utils.ValidateNetworkName(name) != nil {
		return "", fmt.Errorf("%s is not a network name (letters, digits, _ . and -, beginning with a letter or digit)", v)
	}
	return name, nil
}

// readString accepts every string but the empty one. CNI treats an empty string as missing,
// because encoding/json does not distinguish them.
func readString(v *value) (string, error) {
	text, ok := v.Text()
	if !ok {
		return "", notAString(v)
	}
	if text == "" {
		return "", errors.New("is empty")
	}
	return text, nil
}

func notAString(v *value) error {
	return fmt.Errorf("%s is not a string", v)
}
