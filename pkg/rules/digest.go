package rules

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Digest returns the SHA-256 of everything that the kernel sees of the table and
// of the names of the rules.
//
// Two lists of rules with the same digest can share a loaded ruleset and its
// counters.
func (t *Table) Digest() [sha256.Size]byte {
	d := digester{Hash: sha256.New()}
	d.number(uint64(len(t.Rules)))
	for i := range t.Rules {
		d.rule(&t.Rules[i])
	}
	d.ports(t)
	d.number(uint64(len(t.Classes)))
	for i := range t.Classes {
		class := &t.Classes[i]
		d.number(uint64(class.Otherwise))
		d.bytes(class.IPv4Lengths)
		d.bytes(class.IPv6Lengths)
	}
	d.number(uint64(len(t.Prefixes)))
	for i := range t.Prefixes {
		d.prefix(&t.Prefixes[i])
	}
	return [sha256.Size]byte(d.Sum(nil))
}

// digester writes values without ambiguity: different sequences of values give
// different bytes. A number takes 8 bytes, little endian. A byte string follows
// its length.
type digester struct {
	hash.Hash
	number8 [8]byte
}

func (d *digester) number(n uint64) {
	binary.LittleEndian.PutUint64(d.number8[:], n)
	d.Write(d.number8[:])
}

func (d *digester) bytes(b []byte) {
	d.number(uint64(len(b)))
	d.Write(b)
}

func (d *digester) flag(set bool) {
	if set {
		d.number(1)
	} else {
		d.number(0)
	}
}

func (d *digester) rule(r *Rule) {
	d.bytes([]byte(r.Name))
	d.number(uint64(r.Action))
	if r.Action != Rewrite {
		return
	}
	d.number(uint64(r.Ports.First))
	d.number(uint64(r.To.First))
	d.flag(r.To.Len() == 1)
	d.flag(r.OneWay)
}

func (d *digester) ports(t *Table) {
	var buf bytes.Buffer
	for _, index := range t.PortIndex {
		appendEntries(&buf, &index)
	}
	d.bytes(buf.Bytes())
	buf.Reset()
	for i := range t.Pages {
		appendEntries(&buf, &t.Pages[i])
	}
	d.bytes(buf.Bytes())
}

func appendEntries(buf *bytes.Buffer, entries *[PageSize]uint16) {
	for _, entry := range entries {
		buf.Write(binary.LittleEndian.AppendUint16(buf.AvailableBuffer(), entry))
	}
}

func (d *digester) prefix(p *Prefix) {
	d.number(uint64(p.Class))
	d.number(uint64(p.Rule))
	d.bytes(p.Prefix.Addr().AsSlice())
	d.number(uint64(p.Prefix.Bits()))
}
