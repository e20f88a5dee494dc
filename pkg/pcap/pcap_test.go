package pcap

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gopacket/gopacket/pcapgo"
)

// TestWriter reads back what it wrote, and keeps the file private.
func TestWriter(t *testing.T) {
	path := filepath.Join(t.TempDir(), "trace.pcap")
	if err := os.WriteFile(path, bytes.Repeat([]byte{1}, 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	at, frame := time.Unix(1700000000, 123456789), []byte("the first bytes of a frame")
	if err := w.Write(at, frame, 1500); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	data, info, err := r.ReadPacketData()
	if err != nil || !bytes.Equal(data, frame) || info.Length != 1500 || !info.Timestamp.Equal(at) {
		t.Errorf("%q, %+v, %v", data, info, err)
	}
	if stat, err := os.Stat(path); err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", stat.Mode(), err)
	}
}
