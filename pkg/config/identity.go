package config

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/containernetworking/cni/pkg/types"
	"github.com/containernetworking/cni/pkg/utils"
)

// Identity is what of a network configuration DEL needs: it must work however
// wrong the rest has become since ADD.
type Identity struct {
	CNIVersion string
	Name       string
}

// Collection is what of a network configuration GC needs.
type Collection struct {
	Identity
	// ValidAttachments is what GC is to keep.
	//
	// Nil means that the runtime gave no list, so nothing may be collected;
	// empty means that no attachment is valid.
	ValidAttachments []types.GCAttachment
}

// attachmentsKey is where a runtime lists the valid attachments for GC.
const attachmentsKey = "cni.dev/valid-attachments"

// ParseIdentity reads the identity out of a network configuration, and looks
// at nothing else in it.
//
// Returns an *Error if the JSON is malformed or the network has no proper name.
func ParseIdentity(stdin []byte) (*Identity, error) {
	collection, err := parseIdentity(stdin, false)
	if err != nil {
		return nil, err
	}
	return &collection.Identity, nil
}

// ParseCollection reads the identity and the list of valid attachments.
//
// Returns an *Error as ParseIdentity does, and if the list cannot be
// understood.
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

// identity overlooks keys given twice, which Parse refuses: the last counts.
func (p *parser) identity(document *value, withAttachments bool) *Collection {
	o := object{document, []field{{"name", document.at("name")}}}
	cniVersion, _ := document.at("cniVersion").text()
	collection := &Collection{Identity: Identity{
		CNIVersion: cniVersion,
		Name:       require(p, o, "name", "give the network one", readNetworkName),
	}}
	if withAttachments {
		collection.ValidAttachments = p.validAttachments(document.at(attachmentsKey))
	}
	return collection
}

// validAttachments refuses entries that name nothing: a list that is not
// understood must never look like a list that is empty.
func (p *parser) validAttachments(v *value) []types.GCAttachment {
	if v == nil || v.isNull() {
		return nil
	}
	attachments := []types.GCAttachment{}
	for _, element := range p.elements(v, "attachments") {
		var a types.GCAttachment
		if err := json.Unmarshal(element.raw, &a); err != nil || a.ContainerID == "" || a.IfName == "" {
			p.report(element, `%s is not an attachment, an object with "containerID" and "ifname"`, element)
		}
		attachments = append(attachments, a)
	}
	return attachments
}

// readNetworkName refuses what CNI refuses. The name becomes part of a path.
func readNetworkName(v *value) (string, error) {
	name, ok := v.text()
	if !ok {
		return "", notAString(v)
	}
	if utils.ValidateNetworkName(name) != nil {
		return "", fmt.Errorf("%s is not the name of a network (letters, digits, _ . and -, the first a letter or digit)", v)
	}
	return name, nil
}

// readString takes every string but the empty one, which encoding/json cannot
// tell from none at all and CNI therefore treats as none.
func readString(v *value) (string, error) {
	text, ok := v.text()
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
