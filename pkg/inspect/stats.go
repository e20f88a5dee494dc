package inspect

import (
	"cmp"
	"slices"
	"time"
)

// Stats are the counters of all attachments at one time, and the rates since the time before.
type Stats struct {
	Time time.Time `json:"time"`
	// Seconds is the time that the rates are measured over; 0 if there are none yet.
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
	// The rates are per second.
	PacketRate    float64 `json:"packetsPerSecond"`
	RewrittenRate float64 `json:"rewrittenPerSecond"`
	DroppedRate   float64 `json:"droppedPerSecond"`
}

// RuleStat are the counters of one rule of one interface.
type RuleStat struct {
	Network   string `json:"network"`
	Container string `json:"container"`
	Interface string `json:"interface"`
	Name      string `json:"name"`
	Packets   uint64 `json:"packets"`
	Bytes     uint64 `json:"bytes"`
	// The rates are per second.
	PacketRate float64 `json:"packetsPerSecond"`
	ByteRate   float64 `json:"bytesPerSecond"`
}

// Order is what rows are sorted by: names in ascending order, all else in descending order.
type Order string

// The orders.
const (
	ByRate      Order = "rate"
	ByPackets   Order = "packets"
	ByRewritten Order = "rewritten"
	ByDropped   Order = "dropped"
	ByName      Order = "name"
)

// Orders are all orders.
var Orders = []Order{ByRate, ByPackets, ByRewritten, ByDropped, ByName}

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

// key identifies the attachment. Names have no slash.
func (c *AttachmentStat) key() string { return c.Network + "/" + c.Container + "/" + c.Interface }

func (r *RuleStat) key() string {
	return r.Network + "/" + r.Container + "/" + r.Interface + "/" + r.Name
}

// Sort sorts the rows. Equal rows keep their order.
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
