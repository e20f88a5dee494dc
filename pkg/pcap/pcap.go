// Package pcap writes the headers of traced packets into a file for tcpdump and Wireshark.
package pcap

import (
	"bufio"
	"errors"
	"io"
	"os"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
)

// SnapLength is the number of bytes of each packet that a trace contains.
const SnapLength = 128

// Writer writes packets with times in nanoseconds.
type Writer struct {
	file   io.Closer // nil if the caller closes it
	buffer *bufio.Writer
	pcap   *pcapgo.Writer
}

// Create empties or makes a file and writes the header. Only its owner may read the file:
// packets are private.
func Create(path string) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	return newWriter(file, file)
}

// NewWriter writes the header. Close flushes and does not close out.
func NewWriter(out io.Writer) (*Writer, error) { return newWriter(out, nil) }

func newWriter(out io.Writer, file io.Closer) (*Writer, error) {
	w := &Writer{file: file, buffer: bufio.NewWriter(out)}
	w.pcap = pcapgo.NewWriterNanos(w.buffer)
	if err := w.pcap.WriteFileHeader(SnapLength, layers.LinkTypeEthernet); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Write writes the first bytes of an Ethernet frame of this length.
func (w *Writer) Write(at time.Time, frame []byte, length int) error {
	return w.pcap.WritePacket(gopacket.CaptureInfo{Timestamp: at, CaptureLength: len(frame), Length: length}, frame)
}

// Flush writes out what is buffered.
func (w *Writer) Flush() error { return w.buffer.Flush() }

// Close flushes and closes the file.
func (w *Writer) Close() error {
	err := w.Flush()
	if w.file != nil {
		err = errors.Join(err, w.file.Close())
	}
	return err
}
