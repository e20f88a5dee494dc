package portctl

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/inspect"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// tracing is a running trace.
type tracing struct {
	*exec.Cmd
	stdout buffer
	stderr *bufio.Reader
	said   bytes.Buffer // its stderr
}

// startTrace starts a trace and returns when it is listening.
func startTrace(t *testing.T, n *node.Node, args ...string) *tracing {
	t.Helper()
	r := &tracing{Cmd: node.ToolCommand(t, append([]string{"trace"}, args...)...)}
	r.Stdout = &r.stdout
	pipe, err := r.StderrPipe()
	must(t, err)
	r.stderr = bufio.NewReader(io.TeeReader(pipe, &r.said))
	must(t, n.NS.Do(func(ns.NetNS) error { return r.Start() }))
	t.Cleanup(func() { _ = r.Process.Kill() })
	if line, err := r.stderr.ReadString('\n'); err != nil || !strings.HasPrefix(line, "tracing ") {
		t.Fatalf("it begins with %q, %v", line, err)
	}
	return r
}

// awaitReport waits until the trace has reported a packet to a port of the far host, and thereby
// all packets before it: an interrupted trace drops what it has not reported. It sends packets
// until one is reported.
func (r *tracing) awaitReport(t *testing.T, c *node.Container, port uint16) {
	t.Helper()
	eventually(t, func() string {
		send(t, c, port, 1)
		if text := r.stdout.String(); !strings.Contains(text, far(port).String()) {
			return fmt.Sprintf("no packet to port %d is reported", port)
		}
		return ""
	})
}

// end waits until the trace ends by itself, or interrupts it, and returns its stdout.
func (r *tracing) end(t *testing.T, interrupt bool) string {
	t.Helper()
	if interrupt {
		must(t, r.Process.Signal(unix.SIGINT))
	}
	timer := time.AfterFunc(pace.Patience(time.Minute), func() { _ = r.Process.Kill() })
	defer timer.Stop()
	_, _ = io.Copy(io.Discard, r.stderr)
	if err := r.Wait(); err != nil {
		t.Fatalf("%v: %s", err, r.said.Bytes())
	}
	return r.stdout.String()
}

func decisions(t *testing.T, text string) (list []inspect.Decision) {
	t.Helper()
	for line := range strings.Lines(text) {
		list = append(list, decode[inspect.Decision](t, line))
	}
	return list
}

// TestTraceReportsEachOnce sends 1,000 packets slowly from as many ports, and expects one report
// for each, in order.
func TestTraceReportsEachOnce(t *testing.T) {
	const packets = 1000
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c, other := attach(t, n), attach(t, n)
	file := filepath.Join(t.TempDir(), "trace.pcap")
	r := startTrace(t, n, c.ID(), "--protocol", "udp", "--port", "7999", "--rule", "main", "-o", "json", "--pcap", file)
	var ports []uint16
	for range packets {
		send(t, other, 7999, 1)
		ports = append(ports, sendOne(t, c, 7999))
		time.Sleep(time.Millisecond)
	}
	eventually(t, func() string {
		if lines := strings.Count(r.stdout.String(), "\n"); lines < packets {
			return fmt.Sprintf("%d packets were reported, %d sent", lines, packets)
		}
		return ""
	})
	time.Sleep(300 * time.Millisecond) // for surplus reports
	reported := decisions(t, r.end(t, true))
	if len(reported) != packets {
		t.Fatalf("%d packets were reported, %d sent; %s", len(reported), packets, r.said.Bytes())
	}
	for i, d := range reported {
		if d.Before.Source.Port() != ports[i] || d.Before.Destination.AddrPort != far(7999) ||
			d.After.Destination.AddrPort != far(7998) || d.Verdict != "rewritten" || d.Rule != "main" ||
			d.Container != c.ID() || d.Direction != "egress" || i > 0 && !d.Time.After(reported[i-1].Time) {
			t.Fatalf("packet %d, of port %d, is reported as %+v", i, ports[i], d)
		}
	}
	wantPcap(t, file, ports)
}

// sendOne sends a datagram from a new port and returns that port.
func sendOne(t *testing.T, c *node.Container, port uint16) uint16 {
	t.Helper()
	conn, err := node.DialUDP(c.NS, far(port))
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("datagram"))
	must(t, err)
	_, text, _ := strings.Cut(conn.LocalAddr().String(), ":")
	own, err := strconv.ParseUint(text, 10, 16)
	must(t, err)
	return uint16(own)
}

// wantPcap expects the packets in a file, as they left.
func wantPcap(t *testing.T, path string, ports []uint16) {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	reader, err := pcapgo.NewReader(file)
	must(t, err)
	for i := 0; ; i++ {
		data, info, err := reader.ReadPacketData()
		if errors.Is(err, io.EOF) && i == len(ports) {
			return
		}
		must(t, err)
		udp, isUDP := gopacket.NewPacket(data, layers.LinkTypeEthernet, gopacket.Default).Layer(layers.LayerTypeUDP).(*layers.UDP)
		if !isUDP || uint16(udp.SrcPort) != ports[i] || udp.DstPort != 7998 || info.Length != 14+20+8+8 {
			t.Fatalf("packet %d is %+v: %x", i, info, data)
		}
	}
}

// TestTraceFilters expects each filter to select its packets only.
func TestTraceFilters(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998),
		object{"protocol": "udp", "port": 25, "action": "drop", "name": "no-smtp"},
		object{"protocol": "udp", "port": 26, "action": "pass", "name": "fine"})))
	c := attach(t, n)
	for _, test := range []struct{ filters, want string }{
		// This test is first, because the far host limits its rate of errors.
		{
			"--direction ingress --protocol icmp --verdict icmp-error-restored",
			`ingress icmp 10\.99\.0\.2 > 10\.88\.0\.2, quoting port 7999 instead of 7998  icmp-error-restored`,
		},
		{"--verdict dropped", `egress  udp 10\.88\.0\.2:\d+ > 10\.99\.0\.2:25  dropped by no-smtp`},
		{"--verdict dropped,rewritten --rule main", `egress  udp 10\.88\.0\.2:\d+ > 10\.99\.0\.2:7999 -> 10\.99\.0\.2:7998  rewritten by main`},
		{"--port 26 --direction egress", `egress  udp 10\.88\.0\.2:\d+ > 10\.99\.0\.2:26  passed by fine`},
		{"--address ::ffff:10.99.0.2 --port 26", `egress  udp 10\.88\.0\.2:\d+ > 10\.99\.0\.2:26  passed by fine`},
		{"--address 10.99.0.0/24 --protocol udp --port 25", `egress  udp 10\.88\.0\.2:\d+ > 10\.99\.0\.2:25  dropped by no-smtp`},
	} {
		filters, want := test.filters, test.want
		r := startTrace(t, n, append(strings.Fields(filters), "--count", "1")...)
		for _, port := range []uint16{25, 26, 7999} {
			send(t, c, port, 1)
		}
		got := r.end(t, false)
		if !regexp.MustCompile(`^\d\d:\d\d:\d\d\.\d{6} ` + c.ID()[:12] + ` ` + want + "\n$").MatchString(got) {
			t.Errorf("%s: %q, want %s", filters, got, want)
		}
	}
}

// TestTraceUnderFlood expects reported and omitted packets to add up to all packets.
func TestTraceUnderFlood(t *testing.T) {
	const packets = 100_000
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	r := startTrace(t, n, "-o", "json", "--buffer", "4") // room for some 20 packets
	send(t, c, 7999, packets)
	r.awaitReport(t, c, 26)
	out := r.end(t, true)
	reported, leftOut := 0, 0
	if _, err := fmt.Sscanf(lastLine(r.said.String()), "%d packets reported, %d left out", &reported, &leftOut); err != nil {
		t.Fatalf("%v: %s", err, r.said.Bytes())
	}
	t.Logf("%d packets reported, %d left out", reported, leftOut)
	counted := 0
	for _, d := range decisions(t, out) {
		if d.Rule == "main" {
			counted++
		}
	}
	// The counters have the number of all packets, with neighbour discovery.
	all := showJSON(t, n, c).Counters.Packets()
	if leftOut == 0 || reported < counted || reported+leftOut < packets || uint64(reported+leftOut) > all {
		t.Errorf("%d reported, %d of the rule, %d left out, %d packets in all", reported, counted, leftOut, all)
	}
	if !strings.Contains(r.said.String(), "packets left out: they came faster") {
		t.Errorf("only %q was said", r.said.String())
	}
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}

// TestTraceRefuses expects a second trace and wrong words to be refused.
func TestTraceRefuses(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	r := startTrace(t, n)
	if out := portctl(t, n, "trace", "--count", "1"); out.code != 1 || !strings.Contains(out.stderr, "another process is tracing") {
		t.Errorf("a second one: %+v", out)
	}
	r.end(t, true)
	for _, args := range [][]string{
		{"--verdict", "pass"},
		{"--protocol", "sctp"},
		{"--port", "0"},
		{"--address", "10.0.0"},
		{"--direction", "in"},
		{"a", "b"},
		{"--count", "-1"},
		{"--sample", "0"},
		{"--buffer", "0"},
	} {
		portctl(t, n, append([]string{"trace"}, args...)...).want(t, 2)
	}
	if out := portctl(t, n, "trace", c.ID(), "--rule", "nope"); out.code != 1 || !strings.Contains(out.stderr, "their rules are main\n") {
		t.Errorf("an unknown rule: %+v", out)
	}
	earlier := write(t, object{"an earlier": "trace"})
	portctl(t, n, "trace", "no-such-container", "--pcap", earlier).want(t, 1)
	if text, err := os.ReadFile(earlier); err != nil || len(text) == 0 {
		t.Errorf("a trace that does not begin empties the file: %v", err)
	}
	must(t, c.Detach("lab"))
}

// TestTraceInAClosedPipe closes the pipe of a trace as head does. The next trace must start at
// once, which it could not after a killed trace.
func TestTraceInAClosedPipe(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	reader, writer, err := os.Pipe()
	must(t, err)
	defer writer.Close()
	tool := node.ToolCommand(t, "trace", "--protocol", "udp")
	tool.Stdout = writer
	stderr, err := tool.StderrPipe()
	must(t, err)
	must(t, n.NS.Do(func(ns.NetNS) error { return tool.Start() }))
	t.Cleanup(func() { _ = tool.Process.Kill() })
	said := bufio.NewReader(stderr)
	_, err = said.ReadString('\n') // it is listening
	must(t, err)
	must(t, reader.Close())
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, said)
		_ = tool.Wait()
		close(ended)
	}()
	eventually(t, func() string {
		send(t, c, 7999, 1)
		select {
		case <-ended:
			return ""
		case <-time.After(10 * time.Millisecond):
			return "it goes on"
		}
	})
	if code := tool.ProcessState.ExitCode(); code != 0 {
		t.Errorf("it ends with %v", tool.ProcessState)
	}
	startTrace(t, n).end(t, true)
}

// TestTraceLosesItsTerminal hangs up. The next trace must start at once.
func TestTraceLosesItsTerminal(t *testing.T) {
	// The tool ignores the signal if its parent does, as under nohup, and so may the tests. A signal
	// that the tests catch is not ignored in the tool.
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, unix.SIGHUP)
	defer signal.Stop(caught)
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	attach(t, n)
	for range 2 {
		r := startTrace(t, n)
		must(t, r.Process.Signal(unix.SIGHUP))
		r.end(t, false)
	}
}
