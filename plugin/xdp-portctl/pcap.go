package main

import (
	"bufio"
	"errors"
	"io"
	"os"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// pcapFile is a file of packets' headers, with times in nanoseconds.
type pcapFile struct {
	isStdout bool
	file     io.Closer
	buffer   *bufio.Writer
	writer   *pcapgo.Writer
}

// snapLength is how much of a packet a trace has.
const snapLength = 128

func createPcap(path string, stdout io.Writer) (*pcapFile, error) {
	p := &pcapFile{isStdout: path == "-"}
	out := stdout
	if !p.isStdout {
		file, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) // packets are nobody else's business
		if err != nil {
			return nil, err
		}
		p.file, out = file, file
	}
	p.buffer = bufio.NewWriter(out)
	p.writer = pcapgo.NewWriterNanos(p.buffer)
	if err := p.writer.WriteFileHeader(snapLength, layers.LinkTypeEthernet); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *pcapFile) write(d *inspect.Decision) error {
	return p.writer.WritePacket(gopacket.CaptureInfo{
		Timestamp: d.Time, CaptureLength: len(d.Headers), Length: d.Length,
	}, d.Headers)
}

func (p *pcapFile) flush() error { return p.buffer.Flush() }

func (p *pcapFile) close() error {
	err := p.flush()
	if p.file != nil {
		err = errors.Join(err, p.file.Close())
	}
	return err
}
