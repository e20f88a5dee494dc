package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/pkg/pcap"
	"github.com/xdp-port/xdp-port/pkg/terminal"
	"github.com/xdp-port/xdp-port/pkg/trace"
)

// traceOptions are the flags of trace.
type traceOptions struct {
	container string
	filter    inspect.Filter
	address   string
	ports     []uint
	count     int
	pcap      string
	sample    int
	buffer    int // in KiB
}

func (t *tool) trace() *cobra.Command {
	var o traceOptions
	command := &cobra.Command{
		Use:   "trace [CONTAINER]",
		Short: "Show the verdict on each packet as it happens, and the rule that decided",
		Long: `Show verdicts as they happen, of all containers or of one: time, container,
direction, the packet before and after, the verdict and the rule that decided. A
packet is shown if it matches all filters. Only one trace at a time can run on a
node. While none runs, tracing costs one branch per packet.

If packets come faster than they can be printed, some are left out; their number
goes to stderr. --sample traces fewer.

Verdicts: ` + strings.Join(inspect.VerdictWords(), ", ") + `.`,
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
	o.addFilter(command)
	flags := command.Flags()
	flags.IntVarP(&o.count, "count", "n", 0, "end after `N` packets")
	flags.StringVar(&o.pcap, "pcap", "", "write the first 128 bytes of each packet, as it was sent on, into `FILE`; - is stdout, which then has nothing else")
	flags.IntVar(&o.sample, "sample", 1, "trace one in `N` packets, chosen at random")
	flags.IntVar(&o.buffer, "buffer", 1024, "size of the kernel buffer in `KiB`")
	return command
}

func (o *traceOptions) addFilter(command *cobra.Command) {
	flags := command.Flags()
	flags.StringVarP(&o.filter.Direction, "direction", "d", "", "egress (sent by the container) or ingress")
	flags.StringVar(&o.filter.Protocol, "protocol", "", "one of "+strings.Join(inspect.Protocols, ", "))
	flags.UintSliceVarP(&o.ports, "port", "p", nil, "a port of either end, before or after; of several, one must match")
	flags.StringVarP(&o.address, "address", "a", "", "an address of either end, or a prefix such as 10.0.0.0/8")
	flags.StringVarP(&o.filter.Rule, "rule", "r", "", "the name of the rule that decided")
	flags.StringSliceVar(&o.filter.Verdicts, "verdict", nil, "a verdict; of several, one must match")
	for flag, words := range map[string][]string{
		"direction": inspect.Directions, "protocol": inspect.Protocols, "verdict": inspect.VerdictWords(),
	} {
		_ = command.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
	}
}

// check returns an error for values that are out of range or can never match, and completes
// the filter.
func (o *traceOptions) check() error {
	const mostBuffer = 1 << 20 // in KiB, the kernel's limit
	switch {
	case o.count < 0:
		return fmt.Errorf("--count %d is less than 0", o.count)
	case o.sample < 1:
		return fmt.Errorf("--sample %d is less than 1", o.sample)
	case o.buffer < 1 || o.buffer > mostBuffer:
		return fmt.Errorf("--buffer %d is not a size in KiB (1 to %d)", o.buffer, mostBuffer)
	}
	for _, port := range o.ports {
		if port < 1 || port > 65535 {
			return fmt.Errorf("--port %d is not a port (1-65535)", port)
		}
		o.filter.Ports = append(o.filter.Ports, uint16(port))
	}
	return asFlag(errors.Join(o.filter.Check(), o.filter.SetAddress(o.address)))
}

// asFlag turns the field that an error begins with into a flag.
func asFlag(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("--%w", err)
}

func (t *tool) runTrace(ctx context.Context, o traceOptions) (err error) {
	trace, err := inspect.Listen(o.container, trace.Options{Sample: o.sample, RingSize: o.buffer << 10})
	if err != nil {
		return err
	}
	defer trace.Close()
	if err := o.filter.CheckRule(trace.RuleNames()); err != nil {
		return asFlag(err)
	}
	s, err := t.newSink(o) // last, since it empties the file
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	for _, name := range trace.Untraced {
		fmt.Fprintf(t.err, "not traced, since its programs were loaded separately: %s\n", name)
	}
	fmt.Fprintf(t.err, "tracing %d interfaces, press Ctrl-C to stop\n", trace.Interfaces)
	trace.CloseOn(ctx)
	written, err := trace.Run(&o.filter, o.count, s)
	fmt.Fprintf(t.err, "%d packets reported, %d left out\n", written, trace.LeftOut())
	return err
}

// sink prints decisions. It implements inspect.Sink.
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

// Write writes a decision in all formats that were asked for.
func (s *sink) Write(d *inspect.Decision) error {
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
		idLength, shortID(terminal.OrDash(d.Container)), d.Direction, d, s.verdictOf(d))
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
		out += " (no free source port)"
	}
	return out
}

var verdictColours = map[string]terminal.Colour{
	trace.Rewritten.String(): terminal.Yellow, trace.Dropped.String(): terminal.Red,
	trace.ReplyRestored.String(): terminal.Cyan, trace.ICMPErrorRestored.String(): terminal.Cyan,
	trace.Malformed.String(): terminal.Magenta,
}

// Flush writes out what is buffered.
func (s *sink) Flush() error {
	if s.pcap != nil {
		if err := s.pcap.Flush(); err != nil {
			return err
		}
	}
	return s.buffer.Flush()
}

// LeftOut prints how many packets were left out.
func (s *sink) LeftOut(count uint64) {
	fmt.Fprintf(s.err, "%d packets left out: they came faster than they can be printed\n", count)
}

func (s *sink) close() error {
	err := s.Flush()
	if s.pcap != nil {
		err = errors.Join(err, s.pcap.Close())
	}
	return err
}
