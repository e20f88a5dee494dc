package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/inspect"
)

// traceOptions are the flags of trace.
type traceOptions struct {
	container string
	filter    filter
	count     int
	pcap      string
	sample    int
	buffer    int // in KiB
}

func (t *tool) trace() *cobra.Command {
	var o traceOptions
	command := &cobra.Command{
		Use:   "trace [CONTAINER]",
		Short: "Show what becomes of each packet as it happens, and by which rule",
		Long: `Show decisions as they happen, of all containers or of one: time, container,
direction, the packet before and after, the verdict and the rule that decided.
Filters that are given must all match. One trace at a time can run on a node;
while none does, tracing costs the packets nothing.

Where packets come faster than they can be told some are left out, and how many
is said on stderr. --sample has the kernel tell of fewer.

Verdicts: ` + strings.Join(verdictWords(), ", ") + `.`,
		Example: `  xdp-portctl trace
  xdp-portctl trace 3f4a --protocol udp --port 53
  xdp-portctl trace --verdict dropped --count 10 -o json
  xdp-portctl trace --address 10.88.0.0/16 --pcap trace.pcap
  xdp-portctl trace --pcap - | wireshark -k -i -`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeContainer,
		PreRunE: func(_ *cobra.Command, args []string) error {
			o.container = strings.Join(args, "")
			return o.check()
		},
		RunE: func(command *cobra.Command, _ []string) error { return t.runTrace(command.Context(), o) },
	}
	o.filter.flags(command)
	flags := command.Flags()
	flags.IntVarP(&o.count, "count", "n", 0, "end after so many packets")
	flags.StringVar(&o.pcap, "pcap", "", "write the packets' first 128 bytes, as they went on, into a file; - for stdout, and nothing else then")
	flags.IntVar(&o.sample, "sample", 1, "tell of one packet in so many, by chance")
	flags.IntVar(&o.buffer, "buffer", 1024, "size of the kernel's buffer in KiB")
	return command
}

// check returns an error for numbers that mean nothing.
func (o *traceOptions) check() error {
	const mostBuffer = 1 << 20 // in KiB: a larger one is not made
	switch {
	case o.count < 0:
		return fmt.Errorf("--count %d is less than 0", o.count)
	case o.sample < 1:
		return fmt.Errorf("--sample %d is less than 1", o.sample)
	case o.buffer < 1 || o.buffer > mostBuffer:
		return fmt.Errorf("--buffer %d is not a size in KiB (1 to %d)", o.buffer, mostBuffer)
	}
	return o.filter.check()
}

func (t *tool) runTrace(ctx context.Context, o traceOptions) (err error) {
	trace, err := inspect.Listen(o.container, datapath.TraceOptions{Sample: o.sample, RingSize: o.buffer << 10})
	if err != nil {
		return err
	}
	defer trace.Close()
	if err := o.filter.checkRule(trace.RuleNames()); err != nil {
		return err
	}
	s, err := t.newSink(o) // not before: it empties the file
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, name := range trace.Unheard {
		fmt.Fprintf(t.err, "not heard, since its programs were loaded apart from the others: %s\n", name)
	}
	fmt.Fprintf(t.err, "tracing %d interfaces, Ctrl-C ends it\n", trace.Interfaces)
	trace.CloseOn(ctx)
	l := &listening{Trace: trace, sink: s, filter: o.filter, count: o.count, err: t.err}
	err = errors.Join(l.run(), s.flush())
	l.summarise()
	return err
}

// listening is a trace that goes on.
type listening struct {
	*inspect.Trace
	*sink
	filter  filter
	count   int
	err     io.Writer
	told    int
	leftOut uint64
	saidAt  time.Time
}

// run prints until it is interrupted, or enough was told. What is printed is
// held back only while more is at hand.
func (l *listening) run() error {
	const patience = 200 * time.Millisecond
	for l.count == 0 || l.told < l.count {
		decision, err := l.Next(time.Now())
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err := l.flush(); err != nil {
				return err
			}
			l.sayLeftOut()
			decision, err = l.Next(time.Now().Add(patience))
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil && inspect.IsOver(err):
			return nil
		case err != nil:
			return err
		case !l.filter.matches(decision):
			continue
		}
		if err := l.tell(decision); err != nil {
			return err
		}
		l.told++
	}
	return nil
}

// sayLeftOut says at most once a second that packets were left out.
func (l *listening) sayLeftOut() {
	if leftOut := l.LeftOut(); leftOut > l.leftOut && time.Since(l.saidAt) > time.Second {
		fmt.Fprintf(l.err, "%d packets left out: they came faster than they can be told\n", leftOut)
		l.leftOut, l.saidAt = leftOut, time.Now()
	}
}

func (l *listening) summarise() {
	fmt.Fprintf(l.err, "%d packets reported, %d left out\n", l.told, l.LeftOut())
}

// sink is where decisions go.
type sink struct {
	*tool
	buffer *bufio.Writer
	json   *json.Encoder
	pcap   *pcapFile
}

func (t *tool) newSink(o traceOptions) (*sink, error) {
	s := &sink{tool: t, buffer: bufio.NewWriterSize(t.out, 1<<16)}
	if o.pcap != "" {
		if o.pcap == "-" {
			t.out.clean = nil
		}
		var err error
		if s.pcap, err = createPcap(o.pcap, t.out); err != nil {
			return nil, err
		}
	}
	if t.wantsJSON() {
		s.json = json.NewEncoder(s.buffer)
	}
	return s, nil
}

func (s *sink) tell(d *inspect.Decision) error {
	if s.pcap != nil {
		if err := s.pcap.write(d); err != nil || s.pcap.isStdout {
			return err
		}
	}
	if s.json != nil {
		return s.json.Encode(struct {
			schema
			*inspect.Decision
		}{schemaNow, d})
	}
	_, err := fmt.Fprintf(s.buffer, "%s %-*s %-7s %s  %s\n", d.Time.Format("15:04:05.000000"),
		idLength, shortID(orDash(d.Container)), d.Direction, d, s.verdictOf(d))
	return err
}

func (s *sink) verdictOf(d *inspect.Decision) string {
	out := d.Verdict
	if colour, has := verdictColours[d.Verdict]; has {
		out = s.paint(colour, out)
	}
	if d.Rule != "" {
		out += " by " + d.Rule
	}
	if d.PortMoved {
		out += " (source port changed)"
	}
	if d.NoPort {
		out += " (no source port is free)"
	}
	return out
}

var verdictColours = map[string]text.Color{
	datapath.Rewritten.String(): text.FgYellow, datapath.Dropped.String(): text.FgRed,
	datapath.ReplyRestored.String(): text.FgCyan, datapath.ICMPErrorRestored.String(): text.FgCyan,
	datapath.Malformed.String(): text.FgMagenta,
}

func (s *sink) flush() error {
	if s.pcap != nil {
		if err := s.pcap.flush(); err != nil {
			return err
		}
	}
	return s.buffer.Flush()
}

func (s *sink) close() error {
	err := s.flush()
	if s.pcap != nil {
		err = errors.Join(err, s.pcap.close())
	}
	return err
}
