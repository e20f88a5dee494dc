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

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/datapath"
	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/pcap"
	"github.com/xdp-port/xdp-port/pkg/terminal"
)

// traceOptions are the flags of trace.
type traceOptions struct {
	container string
	filterOptions
	selected inspect.Filter
	count    int
	pcap     string
	sample   int
	buffer   int // in KiB
}

func (t *tool) trace() *cobra.Command {
	var o traceOptions
	command := &cobra.Command{
		Use:   "trace [CONTAINER]",
		Short: "Show the verdict on each packet as it happens, and the rule that decided",
		Long: `Show verdicts as they happen, of all containers or of one: time, container,
direction, the packet before and after, the verdict and the rule that decided. A
packet is shown if it matches all filters. One trace at a time can run on a node.
Without one, tracing costs nothing.

If packets come faster than they can be printed, some are left out; their number
goes to stderr. --sample traces fewer.

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
	o.addFlags(command)
	flags := command.Flags()
	flags.IntVarP(&o.count, "count", "n", 0, "end after this many packets")
	flags.StringVar(&o.pcap, "pcap", "", "write the first 128 bytes of each packet, as it was sent on, into a file; - is stdout, which then has nothing else")
	flags.IntVar(&o.sample, "sample", 1, "trace one in N packets, chosen at random")
	flags.IntVar(&o.buffer, "buffer", 1024, "size of the kernel buffer in KiB")
	return command
}

// check returns an error for values out of range, and sets selected.
func (o *traceOptions) check() (err error) {
	const mostBuffer = 1 << 20 // in KiB, the kernel's limit
	switch {
	case o.count < 0:
		return fmt.Errorf("--count %d is less than 0", o.count)
	case o.sample < 1:
		return fmt.Errorf("--sample %d is less than 1", o.sample)
	case o.buffer < 1 || o.buffer > mostBuffer:
		return fmt.Errorf("--buffer %d is not a size in KiB (1 to %d)", o.buffer, mostBuffer)
	}
	o.selected, err = o.filter()
	return err
}

func (t *tool) runTrace(ctx context.Context, o traceOptions) (err error) {
	trace, err := inspect.Listen(o.container, datapath.TraceOptions{Sample: o.sample, RingSize: o.buffer << 10})
	if err != nil {
		return err
	}
	defer trace.Close()
	if err := o.checkRule(trace.RuleNames()); err != nil {
		return err
	}
	s, err := t.newSink(o) // last, since it empties the file
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, name := range trace.Unheard {
		fmt.Fprintf(t.err, "not traced, since its programs were loaded separately: %s\n", name)
	}
	fmt.Fprintf(t.err, "tracing %d interfaces, press Ctrl-C to stop\n", trace.Interfaces)
	trace.CloseOn(ctx)
	l := &listening{Trace: trace, sink: s, filter: o.selected, count: o.count, err: t.err}
	err = errors.Join(l.run(), s.flush())
	l.summarise()
	return err
}

// listening prints a running trace.
type listening struct {
	*inspect.Trace
	*sink
	filter   inspect.Filter
	count    int
	err      io.Writer
	printed  int
	leftOut  uint64
	warnedAt time.Time
}

// run prints until it is interrupted or has printed enough. It buffers output only while
// more packets are waiting.
func (l *listening) run() error {
	const patience = 200 * time.Millisecond
	for l.count == 0 || l.printed < l.count {
		decision, err := l.Next(time.Now())
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if err := l.flush(); err != nil {
				return err
			}
			l.warnLeftOut()
			decision, err = l.Next(time.Now().Add(patience))
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			continue
		case err != nil && inspect.IsOver(err):
			return nil
		case err != nil:
			return err
		case !l.filter.Matches(decision):
			continue
		}
		if err := l.print(decision); err != nil {
			return err
		}
		l.printed++
	}
	return nil
}

// warnLeftOut prints at most once per second how many packets were left out.
func (l *listening) warnLeftOut() {
	if leftOut := l.LeftOut(); leftOut > l.leftOut && time.Since(l.warnedAt) > time.Second {
		fmt.Fprintf(l.err, "%d packets left out: they came faster than they can be printed\n", leftOut)
		l.leftOut, l.warnedAt = leftOut, time.Now()
	}
}

func (l *listening) summarise() {
	fmt.Fprintf(l.err, "%d packets reported, %d left out\n", l.printed, l.LeftOut())
}

// sink formats decisions.
type sink struct {
	*tool
	buffer *bufio.Writer
	json   *json.Encoder
	pcap   *pcap.Writer
	isPcap bool // stdout has the packets
}

func (t *tool) newSink(o traceOptions) (*sink, error) {
	s := &sink{tool: t, buffer: bufio.NewWriterSize(t.out, 1<<16)}
	if o.pcap != "" {
		if err := s.openPcap(o.pcap); err != nil {
			return nil, err
		}
	}
	if t.wantsJSON() {
		s.json = json.NewEncoder(s.buffer)
	}
	return s, nil
}

func (s *sink) openPcap(path string) (err error) {
	if path == "-" {
		s.out.Raw()
		s.isPcap = true
		s.pcap, err = pcap.NewWriter(s.out)
		return err
	}
	s.pcap, err = pcap.Create(path)
	return err
}

func (s *sink) print(d *inspect.Decision) error {
	if s.pcap != nil {
		if err := s.pcap.Write(d.Time, d.Headers, d.Length); err != nil || s.isPcap {
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
		out = s.out.Paint(colour, out)
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

var verdictColours = map[string]terminal.Colour{
	datapath.Rewritten.String(): terminal.Yellow, datapath.Dropped.String(): terminal.Red,
	datapath.ReplyRestored.String(): terminal.Cyan, datapath.ICMPErrorRestored.String(): terminal.Cyan,
	datapath.Malformed.String(): terminal.Magenta,
}

func (s *sink) flush() error {
	if s.pcap != nil {
		if err := s.pcap.Flush(); err != nil {
			return err
		}
	}
	return s.buffer.Flush()
}

func (s *sink) close() error {
	err := s.flush()
	if s.pcap != nil {
		err = errors.Join(err, s.pcap.Close())
	}
	return err
}
