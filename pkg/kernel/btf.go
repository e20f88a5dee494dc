package kernel

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Kinds of BTF types (include/uapi/linux/btf.h).
const (
	kindInt       = 1
	kindPtr       = 2
	kindArray     = 3
	kindStruct    = 4
	kindUnion     = 5
	kindEnum      = 6
	kindFwd       = 7
	kindTypedef   = 8
	kindVolatile  = 9
	kindConst     = 10
	kindRestrict  = 11
	kindFunc      = 12
	kindFuncProto = 13
	kindVar       = 14
	kindDatasec   = 15
	kindFloat     = 16
	kindDeclTag   = 17
	kindTypeTag   = 18
	kindEnum64    = 19
)

// btfTypes are a kernel's types, as they are in its BTF
// (Documentation/bpf/btf.rst), in the machine's byte order.
type btfTypes struct {
	types, strings []byte
	offset         []uint32 // in types, by number, of which the first is 1
	// base are the kernel's types, which those of a module are numbered behind,
	// as are its strings; nil for the kernel's own.
	base *btfTypes
}

var errBTF = errors.New("the kernel's BTF cannot be read")

// parseModuleBTF reads the types of a module.
func parseModuleBTF(blob []byte, kernel *btfTypes) (*btfTypes, error) {
	t, err := parseBTF(blob)
	if err != nil {
		return nil, err
	}
	t.base = kernel
	return t, nil
}

func parseBTF(blob []byte) (*btfTypes, error) {
	const magic = 0xeb9f
	if len(blob) < 24 || binary.NativeEndian.Uint16(blob) != magic {
		return nil, errBTF
	}
	word := func(i int) uint64 { return uint64(binary.NativeEndian.Uint32(blob[i:])) }
	rest := blob[min(word(4), uint64(len(blob))):]
	types, strings := word(8)+word(12), word(16)+word(20)
	if max(types, strings) > uint64(len(rest)) {
		return nil, errBTF
	}
	t := &btfTypes{
		types: rest[word(8):types], strings: rest[word(16):strings],
		offset: make([]uint32, 1, 1+len(rest)/32),
	}
	for at := 0; at < len(t.types); {
		if at+btfHeader > len(t.types) {
			return nil, errBTF
		}
		trailer, err := t.trailer(uint32(at))
		if err != nil {
			return nil, err
		}
		t.offset = append(t.offset, uint32(at))
		at += btfHeader + trailer
		if at > len(t.types) {
			return nil, errBTF
		}
	}
	return t, nil
}

const (
	btfHeader = 12 // struct btf_type
	btfMember = 12 // struct btf_member
)

func (t *btfTypes) word(at uint32) uint32 { return binary.NativeEndian.Uint32(t.types[at:]) }

func (t *btfTypes) kind(at uint32) uint32 { return t.word(at+4) >> 24 & 0x1f }

func (t *btfTypes) count(at uint32) int { return int(t.word(at+4) & 0xffff) }

// trailer is how many bytes follow the header of the type at an offset. Of a kind
// that is not known nobody can say, so what is behind it cannot be read.
func (t *btfTypes) trailer(at uint32) (int, error) {
	switch kind := t.kind(at); kind {
	case kindInt, kindVar, kindDeclTag:
		return 4, nil
	case kindArray:
		return 12, nil
	case kindStruct, kindUnion, kindDatasec, kindEnum64:
		return 12 * t.count(at), nil
	case kindEnum, kindFuncProto:
		return 8 * t.count(at), nil
	case kindPtr, kindFwd, kindTypedef, kindVolatile, kindConst, kindRestrict, kindFunc, kindFloat, kindTypeTag:
		return 0, nil
	default:
		return 0, fmt.Errorf("%w: it has types of kind %d", errBTF, kind)
	}
}

// named returns the number of the type of this name and kind.
func (t *btfTypes) named(name string, kind uint32) (uint32, error) {
	offset, err := t.stringOffset(name)
	if err != nil {
		return 0, err
	}
	for number, at := range t.offset {
		if number > 0 && t.word(at) == offset && t.kind(at) == kind {
			return uint32(number), nil
		}
	}
	return 0, fmt.Errorf("%w: there is no type %s", errBTF, name)
}

// stringOffset finds a name, which is there once.
func (t *btfTypes) stringOffset(name string) (uint32, error) {
	if t.base != nil {
		if at, err := t.base.stringOffset(name); err == nil {
			return at, nil
		}
	}
	before := bytes.Index(t.strings, []byte("\x00"+name+"\x00"))
	if before < 0 {
		return 0, fmt.Errorf("%w: there is no name %s", errBTF, name)
	}
	if t.base != nil {
		before += len(t.base.strings)
	}
	return uint32(before + 1), nil
}

// size returns how many bytes a structure takes.
func (t *btfTypes) size(structure uint32) uint32 { return t.word(t.offset[structure] + 8) }

// member returns where a member of a structure begins, in bits, also of the
// unnamed structures in it.
func (t *btfTypes) member(structure uint32, name string) (bit uint32, err error) {
	offset, err := t.stringOffset(name)
	if err != nil {
		return 0, err
	}
	bit, found := t.find(structure, offset, maxNesting)
	if !found {
		return 0, fmt.Errorf("%w: there is no member %s", errBTF, name)
	}
	return bit, nil
}

// maxNesting bounds how deep unnamed structures are in one another: a damaged BTF
// may have one in itself.
const maxNesting = 8

func (t *btfTypes) find(structure, name uint32, nesting int) (bit uint32, found bool) {
	if structure == 0 || int(structure) >= len(t.offset) || nesting == 0 {
		return 0, false
	}
	at := t.offset[structure]
	if kind := t.kind(at); kind != kindStruct && kind != kindUnion {
		return 0, false
	}
	for i := range t.count(at) {
		member := at + btfHeader + uint32(i*btfMember)
		// With a size in the upper byte where there are bit fields.
		begin := t.word(member+8) & 0xffffff
		switch t.word(member) {
		case name:
			return begin, true
		case 0:
			if t.base != nil {
				continue // of a type that may be the kernel's
			}
			if bit, found := t.find(t.word(member+4), name, nesting-1); found {
				return begin + bit, true
			}
		}
	}
	return 0, false
}
