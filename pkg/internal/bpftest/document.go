package bpftest

import (
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
)

// PinText pins a text in dir as a document of xdp-port is.
func PinText(t *testing.T, dir, name, text string) {
	t.Helper()
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: uint32(len(text)), MaxEntries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.Put(uint32(0), []byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := m.Pin(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// PinnedText returns the text of a document that is pinned in dir.
func PinnedText(t *testing.T, dir, name string) string {
	t.Helper()
	m, err := ebpf.LoadPinnedMap(filepath.Join(dir, name), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	var text []byte
	if err := m.Lookup(uint32(0), &text); err != nil {
		t.Fatal(err)
	}
	return string(text)
}
