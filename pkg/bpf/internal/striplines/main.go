// Striplines removes the line information from a compiled BPF object, for go generate.
//
// Line information maps instructions to source lines, for the verifier's log and for
// bpftool. It is more than half of the object, which every process that loads a ruleset
// reads and hands to the kernel. To see source lines, run go generate without this step.
package main

import (
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: striplines OBJCOPY OBJECT")
		os.Exit(2)
	}
	if err := strip(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "striplines:", err)
		os.Exit(1)
	}
}

const section = ".BTF.ext"

// strip replaces the section in the object, and removes its relocations, which only
// linkers need.
func strip(objcopy, object string) error {
	data, err := read(object)
	if err != nil {
		return err
	}
	stripped, err := withoutLines(data)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "striplines")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "section")
	if err := os.WriteFile(file, stripped, 0o600); err != nil {
		return err
	}
	output, err := exec.Command(objcopy, "--remove-section=.rel"+section, "--update-section="+section+"="+file, object).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", objcopy, err, output)
	}
	return nil
}

func read(object string) ([]byte, error) {
	file, err := elf.Open(object)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	found := file.Section(section)
	if found == nil {
		return nil, fmt.Errorf("%s has no section %s", object, section)
	}
	return found.Data()
}

// Offsets in struct btf_ext_header, in bytes (Documentation/bpf/btf.rst, section 4.2).
// Offsets in the header count from its end.
const (
	headerLength = 4
	lineOffset   = 16
	lineLength   = 20
	relocOffset  = 24
	headerSize   = 32
)

// recordSize precedes the line records, also if there are none.
const recordSize = 4

// withoutLines returns the section without line records.
func withoutLines(data []byte) ([]byte, error) {
	order := binary.LittleEndian
	if len(data) < headerSize || order.Uint32(data[headerLength:]) < headerSize {
		return nil, errors.New("the header of " + section + " is too short")
	}
	begin := uint64(order.Uint32(data[headerLength:])) + uint64(order.Uint32(data[lineOffset:]))
	length := uint64(order.Uint32(data[lineLength:]))
	if length <= recordSize {
		return data, nil
	}
	if begin+length > uint64(len(data)) {
		return nil, errors.New("the line information of " + section + " is cut off")
	}
	out := append(data[:begin+recordSize:begin+recordSize], data[begin+length:]...)
	order.PutUint32(out[lineLength:], recordSize)
	if relocations := order.Uint32(data[relocOffset:]); relocations > order.Uint32(data[lineOffset:]) {
		order.PutUint32(out[relocOffset:], relocations-uint32(length)+recordSize)
	}
	return out, nil
}
