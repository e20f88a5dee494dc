package inspect

import (
	"fmt"
	"slices"
	"time"
)

// Sampler makes Stats of the same attachments again and again, with rates since the time
// before. The zero value is ready to use.
type Sampler struct {
	at          time.Time
	attachments map[string]AttachmentStat
	rules       map[string]RuleStat
}

// Read reads the counters of all containers, or of one if its ID or the beginning of it is
// given.
//
// It leaves out attachments whose counters cannot be read, and returns why as unread. If
// there are no others, that is the error.
func (s *Sampler) Read(container string) (stats Stats, unread, err error) {
	list, err := Attachments()
	if err == nil && container != "" {
		list, err = Container(list, container)
	}
	if err != nil {
		return Stats{}, nil, err
	}
	unread = Uncounted(list)
	list = slices.DeleteFunc(list, func(a Attachment) bool { return a.Uncounted != nil })
	if unread != nil && len(list) == 0 {
		return Stats{}, nil, unread
	}
	return s.Sample(list, time.Now()), unread, nil
}

// Uncounted returns an error that names the first attachment whose counters exist but cannot
// be read; nil if there is none.
func Uncounted(list []Attachment) error {
	for i := range list {
		if err := list[i].Uncounted; err != nil {
			return fmt.Errorf("read the counters of %s: %w", list[i].Key(), err)
		}
	}
	return nil
}

// Sample returns the stats of attachments that were read at a time, in their order.
func (s *Sampler) Sample(list []Attachment, at time.Time) Stats {
	stats := Stats{Time: at, Attachments: []AttachmentStat{}, Rules: []RuleStat{}}
	if !s.at.IsZero() {
		stats.Seconds = at.Sub(s.at).Seconds()
	}
	for i := range list {
		stats.add(&list[i])
	}
	s.rate(&stats)
	s.keep(&stats)
	return stats
}

// rate fills in the rates of what was there the time before.
func (s *Sampler) rate(stats *Stats) {
	since := func(now, before uint64) float64 {
		if stats.Seconds <= 0 || now < before {
			return 0 // a container of the same ID was attached again
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

// keep stores what the next rates are counted from.
func (s *Sampler) keep(stats *Stats) {
	s.at = stats.Time
	s.attachments, s.rules = map[string]AttachmentStat{}, map[string]RuleStat{}
	for _, c := range stats.Attachments {
		s.attachments[c.key()] = c
	}
	for _, r := range stats.Rules {
		s.rules[r.key()] = r
	}
}
