package inspect

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// Stats are the counters of all attachments at one time, and what came on since
// the time before.
type Stats struct {
	Time time.Time `json:"time"`
	// Seconds is the time that the rates are over; 0 where there are none yet.
	Seconds     float64          `json:"seconds"`
	Total       Counters         `json:"total"`
	Attachments []AttachmentStat `json:"attachments"`
	Rules       []RuleStat       `json:"rules"`
}

// AttachmentStat are the counters of one interface of a container.
type AttachmentStat struct {
	Network   string   `json:"network"`
	Container string   `json:"container"`
	Interface string   `json:"interface"`
	Counters  Counters `json:"counters"`
	Packets   uint64   `json:"packets"`
	// The rates are a second.
	PacketRate    float64 `json:"packetsPerSecond"`
	RewrittenRate float64 `json:"rewrittenPerSecond"`
	DroppedRate   float64 `json:"droppedPerSecond"`
}

// RuleStat is what one rule of one interface decided.
type RuleStat struct {
	Network   string `json:"network"`
	Container string `json:"container"`
	Interface string `json:"interface"`
	Name      string `json:"name"`
	Packets   uint64 `json:"packets"`
	Bytes     uint64 `json:"bytes"`
	// The rates are a second.
	PacketRate float64 `json:"packetsPerSecond"`
	ByteRate   float64 `json:"bytesPerSecond"`
}

// Order is what rows are sorted by, in descending order but for names.
type Order string

// The orders.
const (
	ByRate      Order = "rate"
	ByPackets   Order = "packets"
	ByRewritten Order = "rewritten"
	ByDropped   Order = "dropped"
	ByName      Order = "name"
)

// Orders are all of them.
var Orders = []Order{ByRate, ByPackets, ByRewritten, ByDropped, ByName}

// Sampler makes Stats of attachments read one time after the other. The zero
// value is ready to use.
type Sampler struct {
	at          time.Time
	attachments map[string]AttachmentStat
	rules       map[string]RuleStat
}

// Sample returns the stats of attachments that were read at a time, in their
// order.
func (s *Sampler) Sample(list []Attachment, at time.Time) Stats {
	stats := Stats{Time: at, Attachments: []AttachmentStat{}, Rules: []RuleStat{}}
	if !s.at.IsZero() {
		stats.Seconds = at.Sub(s.at).Seconds()
	}
	for i := range list {
		stats.add(&list[i])
	}
	s.rate(&stats)
	s.remember(&stats)
	return stats
}

// Uncounted returns an error that names the first attachment whose counters cannot be
// read, though they are there; nil if there is none.
func Uncounted(list []Attachment) error {
	for i := range list {
		if err := list[i].Uncounted; err != nil {
			return fmt.Errorf("read the counters of %s: %w", list[i].Key(), err)
		}
	}
	return nil
}

func (s *Stats) add(a *Attachment) {
	c := AttachmentStat{Network: a.Network, Container: a.Container, Interface: a.Interface}
	if a.Counters != nil {
		c.Counters, c.Packets = *a.Counters, a.Counters.Packets()
	}
	s.Attachments = append(s.Attachments, c)
	s.Total.add(&c.Counters)
	for _, rule := range a.Rules {
		s.Rules = append(s.Rules, RuleStat{
			Network: a.Network, Container: a.Container, Interface: a.Interface,
			Name: rule.Name, Packets: rule.Packets, Bytes: rule.Bytes,
		})
	}
}

func (c *Counters) add(more *Counters) {
	c.Passed += more.Passed
	c.Rewritten += more.Rewritten
	c.Dropped += more.Dropped
	c.RepliesRestored += more.RepliesRestored
	c.ICMPErrorsRestored += more.ICMPErrorsRestored
	c.Malformed += more.Malformed
	c.PortsMoved += more.PortsMoved
	c.PortsExhausted += more.PortsExhausted
	c.FlowsEvicted += more.FlowsEvicted
	c.FlowsEvictedLive += more.FlowsEvictedLive
}

// rate fills in the rates of what was there the time before.
func (s *Sampler) rate(stats *Stats) {
	since := func(now, before uint64) float64 {
		if stats.Seconds <= 0 || now < before {
			return 0 // a container of the same ID was attached anew
		}
		return float64(now-before) / stats.Seconds
	}
	for i := range stats.Attachments {
		c := &stats.Attachments[i]
		before, known := s.attachments[c.key()]
		if !known {
			continue
		}
		c.PacketRate = since(c.Packets, before.Packets)
		c.RewrittenRate = since(c.Counters.Rewritten, before.Counters.Rewritten)
		c.DroppedRate = since(c.Counters.Dropped, before.Counters.Dropped)
	}
	for i := range stats.Rules {
		r := &stats.Rules[i]
		if before, known := s.rules[r.key()]; known {
			r.PacketRate, r.ByteRate = since(r.Packets, before.Packets), since(r.Bytes, before.Bytes)
		}
	}
}

// remember keeps what the next rates are counted from.
func (s *Sampler) remember(stats *Stats) {
	s.at = stats.Time
	s.attachments, s.rules = map[string]AttachmentStat{}, map[string]RuleStat{}
	for _, c := range stats.Attachments {
		s.attachments[c.key()] = c
	}
	for _, r := range stats.Rules {
		s.rules[r.key()] = r
	}
}

// key tells attachments apart; names have no slash.
func (c *AttachmentStat) key() string { return c.Network + "/" + c.Container + "/" + c.Interface }

func (r *RuleStat) key() string {
	return r.Network + "/" + r.Container + "/" + r.Interface + "/" + r.Name
}

// Sort sorts the rows. Those that are equal keep their order.
func (s *Stats) Sort(order Order) {
	slices.SortStableFunc(s.Attachments, func(a, b AttachmentStat) int {
		switch order {
		case ByPackets:
			return cmp.Compare(b.Packets, a.Packets)
		case ByRewritten:
			return cmp.Compare(b.Counters.Rewritten, a.Counters.Rewritten)
		case ByDropped:
			return cmp.Compare(b.Counters.Dropped, a.Counters.Dropped)
		case ByName:
			return cmp.Compare(a.key(), b.key())
		default:
			return cmp.Or(cmp.Compare(b.PacketRate, a.PacketRate), cmp.Compare(b.Packets, a.Packets))
		}
	})
	slices.SortStableFunc(s.Rules, func(a, b RuleStat) int {
		switch order {
		case ByName:
			return cmp.Compare(a.key(), b.key())
		case ByRate:
			return cmp.Or(cmp.Compare(b.PacketRate, a.PacketRate), cmp.Compare(b.Packets, a.Packets))
		default:
			return cmp.Compare(b.Packets, a.Packets)
		}
	})
}
