package main

import (
	"encoding/binary"
	"testing"
)

// TestObjectHasNoLines reads the committed object.
func TestObjectHasNoLines(t *testing.T) {
	data, err := read("../../programs_bpfel.o")
	if err != nil {
		t.Fatal(err)
	}
	if length := binary.LittleEndian.Uint32(data[lineLength:]); length != recordSize {
		t.Errorf("the line information has %d bytes: run make generate", length)
	}
}

// TestWithoutLines removes the records between two other parts.
func TestWithoutLines(t *testing.T) {
	const functions, lines, relocations = "functions", "size of a record, and records", "relocations"
	section := make([]byte, headerSize)
	order := binary.LittleEndian
	order.PutUint32(section[headerLength:], headerSize)
	order.PutUint32(section[lineOffset:], uint32(len(functions)))
	order.PutUint32(section[lineLength:], uint32(len(lines)))
	order.PutUint32(section[relocOffset:], uint32(len(functions)+len(lines)))
	section = append(section, functions+lines+relocations...)
	got, err := withoutLines(section)
	if err != nil {
		t.Fatal(err)
	}
	if text := string(got[headerSize:]); text != functions+lines[:recordSize]+relocations {
		t.Errorf("the section has %q", text)
	}
	if at := headerSize + order.Uint32(got[relocOffset:]); string(got[at:]) != relocations {
		t.Errorf("the relocations are at %d", at)
	}
	if again, err := withoutLines(got); err != nil || string(again) != string(got) {
		t.Errorf("done again it becomes %q, %v", again, err)
	}
	for _, length := range []int{0, headerSize - 1, headerSize + len(functions)} {
		if _, err := withoutLines(section[:length]); err == nil {
			t.Errorf("%d bytes are accepted", length)
		}
	}
}
