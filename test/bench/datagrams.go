package main

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/bench/internal/traffic"
	"github.com/xdp-port/xdp-port/test/pace"
)

const (
	datagramRounds   = 40
	datagramsARound  = 25_000
	noRuleSuffix     = ", no rule"
	arrivalTime      = time.Millisecond
	arrivalPatience  = 5 * time.Second
	toleratedPerMill = 1
)

const addedNote = "Busy time of the one core that handles a packet from the sender's system call through the node to the far host's link."

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
		var senders []*sendingContender
		for _, w := range all {
			s, err := b.sendingIn(w, burst.size)
			if err != nil {
				return err
			}
			senders = append(senders, s...)
		}
		contenders := asContenders(senders)
		if err := b.takeTurns(b.less(datagramRounds), contenders); err != nil {
			return err
		}
		b.report(result.Table{
			Name: burst.name, Title: "A small UDP packet of one flow, " + burst.words, Unit: "ns per packet", Added: true, Note: addedNote,
		}, contenders, find(contenders, nothing))
		b.reportCycles(burst.name, senders)
		b.claimDatagrams(burst.words, contenders)
	}
	return nil
}

// sendingIn makes the contenders of a world: packets that a rule matches and, if there are rules,
// packets that none matches.
func (b *bench) sendingIn(w *world, burst int) (senders []*sendingContender, err error) {
	for _, port := range []uint16{asked, other} {
		name := w.name
		if port == other {
			if !w.tcp {
				continue // no rules, or the tutorial's
			}
			name += noRuleSuffix
		}
		send, err := b.newSender(w, port, burst)
		if err != nil {
			return nil, err
		}
		senders = append(senders, b.sending(name, w, port, b.lessWork(datagramsARound), send))
	}
	return senders, nil
}

// newSender returns a function that sends datagrams of one flow to a port of the far host.
func (b *bench) newSender(w *world, port uint16, burst int) (send func(count int) error, err error) {
	sender, err := traffic.NewSender(w.NS, netip.AddrPortFrom(far, port), burst)
	if err != nil {
		return nil, err
	}
	b.later(sender.Close)
	return sender.Send, nil
}

// sending makes a contender that sends count packets to a port in each round, and checks that they
// arrive.
func (b *bench) sending(name string, w *world, port uint16, count int, send func(int) error) *sendingContender {
	s := &sendingContender{contender: contender{name: name}}
	s.sample = func() (float64, error) {
		before, err := w.sink.Arrived(w.arrivesAt(port))
		if err != nil {
			return 0, err
		}
		cost, err := b.core.Do(func() error { return send(count) })
		if err != nil {
			return 0, err
		}
		if err := w.awaitArrival(port, before+uint64(count), count*toleratedPerMill/1000); err != nil {
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
func (w *world) awaitArrival(port uint16, want uint64, mayBeDropped int) error {
	for deadline := time.Now().Add(pace.Patience(arrivalPatience)); ; {
		time.Sleep(arrivalTime)
		arrived, err := w.sink.Arrived(w.arrivesAt(port))
		if err != nil {
			return err
		}
		missing := int(want - arrived)
		if missing <= mayBeDropped {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d packets to port %d did not arrive at port %d", missing, port, w.arrivesAt(port))
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
		Name: name + "-cycles", Title: "The same in CPU cycles", Unit: "cycles per packet", Added: true,
	}, contenders, contenders[0])
}

func (b *bench) claimDatagrams(words string, contenders []*contender) {
	base, dnat := find(contenders, nothing), find(contenders, nft)
	for _, asks := range []struct {
		name  string
		bound float64
	}{{auto, 0.7}, {tc, 0.3}} {
		match := find(contenders, asks.name)
		b.claim(result.Claim{
			What: asks.name + ": overhead for a small UDP packet " + words + ", relative to nft DNAT", Bound: asks.bound,
		}, addedRatio(match, dnat, base))
	}
	for _, pair := range [][2]string{{auto, autoWithoutTracing}, {tc, tcWithoutTracing}} {
		b.claim(result.Claim{
			What:  pair[0] + ": a small UDP packet " + words + " while no trace runs, relative to a build without tracing",
			Bound: 1.03, // two identical builds differ by up to this
		}, ratio(find(contenders, pair[0]), find(contenders, pair[1])))
	}
	for _, name := range []string{auto, tc} {
		match, miss := find(contenders, name), find(contenders, name+noRuleSuffix)
		b.claim(result.Claim{
			What: name + ": overhead for a packet " + words + " without a match, relative to a match", Bound: 0.7,
		}, addedRatio(miss, match, base))
	}
}
