package main

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/bench/internal/traffic"
	"github.com/xdp-port/xdp-port/test/pace"
)

const (
	datagramRounds   = 30
	datagramsARound  = 25_000
	noMatchSuffix    = ", no match"
	arrivalTime      = time.Millisecond
	arrivalPatience  = 5 * time.Second
	toleratedPerMill = 1
)

const busyNote = "Busy time of the one core that handles a packet from the sender's system call through the node to the far host's link."

// bursts are the number of datagrams in a system call. Most programs send one, so their packets meet
// cold caches; the system call then costs more than everything else. Bursts show differences more
// clearly.
var bursts = []struct {
	name, words string
	size        int
}{
	{"datagrams-single", "sent one by one", 1},
	{"datagrams-burst", "sent in bursts of 64", 64},
}

// sendWithoutMatch are the contenders that are also measured with packets that no rule matches.
var sendWithoutMatch = []string{auto, native, tc, nft}

// sendingContender measures the cost of a packet in a world, in time and in CPU cycles.
type sendingContender struct {
	contender
	cycles result.Series
}

// datagrams compares the cost of a small datagram of one flow, with and without a matching rule.
func datagrams(b *bench) error {
	all, err := b.worlds()
	if err != nil {
		return err
	}
	for _, burst := range bursts {
		senders := map[*family][]*sendingContender{}
		for _, f := range families {
			if senders[f], err = b.sendingAll(all, f, burst.size); err != nil {
				return err
			}
		}
		if err := b.takeTurns(b.less(datagramRounds), asContenders(slices.Concat(senders[ipv4], senders[ipv6]))); err != nil {
			return err
		}
		for _, f := range families {
			contenders := asContenders(senders[f])
			b.report(result.Table{
				Name: burst.name + f.suffix, Title: fmt.Sprintf("A small UDP packet of one flow, %s, %s", burst.words, f.name),
				Unit: "ns per packet", Overhead: "ns", Note: busyNote,
			}, contenders, find(contenders, nothing))
			b.reportCycles(burst.name+f.suffix, senders[f])
			b.claimDatagrams(f.name+", "+burst.words, contenders)
		}
		b.claimFamilies(burst.words, asContenders(senders[ipv4]), asContenders(senders[ipv6]))
		b.claimTracing(burst.words, asContenders(senders[ipv4]))
	}
	return nil
}

// sendingAll makes the contenders of all worlds: packets that a rule matches, and packets that none
// matches.
func (b *bench) sendingAll(all []*world, f *family, burst int) (senders []*sendingContender, err error) {
	for _, w := range all {
		if !f.compares(w.name) {
			continue
		}
		for _, port := range []uint16{asked, other} {
			name := w.name
			if port == other {
				if !slices.Contains(sendWithoutMatch, w.name) {
					continue
				}
				name += noMatchSuffix
			}
			send, err := b.newSender(w, f, port, burst)
			if err != nil {
				return nil, err
			}
			senders = append(senders, b.sending(name, w, f, port, b.lessWork(datagramsARound), send))
		}
	}
	return senders, nil
}

// newSender returns a function that sends datagrams of one flow to a port of the far host.
func (b *bench) newSender(w *world, f *family, port uint16, burst int) (send func(count int) error, err error) {
	sender, err := traffic.NewSender(w.NS, netip.AddrPortFrom(f.far, port), burst)
	if err != nil {
		return nil, err
	}
	b.later(sender.Close)
	return sender.Send, nil
}

// sending makes a contender that sends count packets to a port in each round, and checks that they
// arrive.
func (b *bench) sending(name string, w *world, f *family, port uint16, count int, send func(int) error) *sendingContender {
	s := &sendingContender{contender: contender{name: name}}
	s.sample = func() (float64, error) {
		before, err := w.sink.Arrived(w.arrivesAt(port), f.isIPv6())
		if err != nil {
			return 0, err
		}
		cost, err := b.core.Do(func() error { return send(count) })
		if err != nil {
			return 0, err
		}
		if err := w.awaitArrival(f, port, before+uint64(count), count*toleratedPerMill/1000); err != nil {
			return 0, err
		}
		s.cycles = append(s.cycles, float64(cost.Cycles)/float64(count))
		return float64(cost.CPU.Nanoseconds()) / float64(count), nil
	}
	return s
}

// awaitArrival waits until the number of packets to a port has arrived, except those that the kernel
// may drop. Most arrive while they are sent. ksoftirqd handles others, and waits for its turn on a
// busy machine.
func (w *world) awaitArrival(f *family, port uint16, want uint64, mayBeDropped int) error {
	for deadline := time.Now().Add(pace.Patience(arrivalPatience)); ; {
		time.Sleep(arrivalTime)
		arrived, err := w.sink.Arrived(w.arrivesAt(port), f.isIPv6())
		if err != nil {
			return err
		}
		missing := int(want - arrived)
		if missing <= mayBeDropped {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d %s packets to port %d did not arrive at port %d", missing, f.name, port, w.arrivesAt(port))
		}
	}
}

func asContenders(senders []*sendingContender) []*contender {
	var contenders []*contender
	for _, s := range senders {
		contenders = append(contenders, &s.contender)
	}
	return contenders
}

// reportCycles prints CPU cycles if the machine counts them.
func (b *bench) reportCycles(name string, senders []*sendingContender) {
	if b.core.CountsCycles() != nil {
		return
	}
	var contenders []*contender
	for _, s := range senders {
		contenders = append(contenders, &contender{name: s.name, samples: s.cycles[min(b.warmUps, len(s.cycles)):]})
	}
	b.report(result.Table{
		Name: name + "-cycles", Title: "The same in CPU cycles", Unit: "cycles per packet", Overhead: "cycles",
	}, contenders, contenders[0])
}

func (b *bench) claimDatagrams(words string, contenders []*contender) {
	base, dnat := find(contenders, nothing), find(contenders, nft)
	for _, asks := range []struct {
		name  string
		bound float64
	}{{auto, 0.7}, {tc, 0.3}} {
		b.claim(result.Claim{
			What: fmt.Sprintf("%s: overhead for a small UDP packet, %s, relative to nft DNAT", asks.name, words), Bound: asks.bound,
		}, overheadRatio(find(contenders, asks.name), dnat, base))
	}
}

// claimFamilies compares the overhead in IPv6 with that in IPv4. Each is over nothing attached in the
// same family, since the stack around the programs costs more in one.
func (b *bench) claimFamilies(words string, inIPv4, inIPv6 []*contender) {
	overhead := func(contenders []*contender, name string) result.Series {
		return find(contenders, name).samples.Minus(find(contenders, nothing).samples)
	}
	for _, name := range []string{auto, tc} {
		b.claim(result.Claim{
			What: fmt.Sprintf("%s: overhead for a small UDP packet, %s, IPv6 relative to IPv4", name, words), Bound: 1.2,
		}, overhead(inIPv6, name).OverMedian(overhead(inIPv4, name)).Spread())
	}
}

func (b *bench) claimTracing(words string, contenders []*contender) {
	for _, pair := range [][2]string{{auto, autoWithoutTracing}, {tc, tcWithoutTracing}} {
		b.claim(result.Claim{
			What:  fmt.Sprintf("%s: a small UDP packet, %s, while no trace runs, relative to a build without tracing", pair[0], words),
			Bound: 1.03, // two identical builds differ by up to this
		}, ratio(find(contenders, pair[0]), find(contenders, pair[1])))
	}
}
