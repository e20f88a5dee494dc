package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/node"
)

const tracingRounds = 15

// tracing compares the cost of a datagram while xdp-portctl traces and while it does not. The tool runs on the
// other cores, and only one at a time: all rulesets of a machine report to the same listener.
func tracing(b *bench) error {
	all, err := b.worlds(nothing, auto, tc)
	if err != nil {
		return err
	}
	var senders []*sendingContender
	for _, w := range all {
		send, err := b.newSender(w, ipv4, asked, 1)
		if err != nil {
			return err
		}
		untraced := b.sending(w.name, w, ipv4, asked, b.lessWork(datagramsARound), send)
		senders = append(senders, untraced)
		if w.name == nothing {
			continue
		}
		other, err := b.neighbour(w)
		if err != nil {
			return err
		}
		for _, kind := range traceKinds(w.pod, other) {
			senders = append(senders, b.traced(untraced, w, kind))
		}
	}
	contenders := asContenders(senders)
	if err := b.takeTurns(b.less(tracingRounds), contenders); err != nil {
		return err
	}
	b.report(result.Table{
		Name: "tracing", Title: "A small UDP packet while xdp-portctl traces, sent one by one, IPv4", Unit: "ns per packet", Overhead: "ns",
		Note: busyNote + " The trace is printed on another core. Events that find its buffer full are left out, and cost less.",
	}, contenders, find(contenders, nothing))
	return nil
}

// traceKind is a way to trace. least and most bound the number of packets that it reports in a sample. Containers
// send some of their own accord, such as router solicitations: filters for a port leave them out.
type traceKind struct {
	words       string
	args        []string
	least, most int
}

func traceKinds(p, other *pod) []traceKind {
	return []traceKind{
		{"traced", []string{p.PluginID()}, 1, 2 * datagramsARound},
		{"traced, another port shown", []string{p.PluginID(), "--port", "1"}, 0, 0},
		{"one packet in 100 traced", []string{p.PluginID(), "--sample", "100"}, 0, datagramsARound / 10},
		{"another container traced", []string{other.PluginID(), "--port", fmt.Sprint(asked)}, 0, 0},
	}
}

// neighbour makes another container on the world's node, with the same rules and thereby the same programs. One on
// another node would not do: a trace names a container's interface by its index, which is unique on a node only.
func (b *bench) neighbour(w *world) (*pod, error) {
	p, err := b.newPod(w.node, false)
	if err != nil {
		return nil, err
	}
	_, err = p.add(w.added[len(w.added)-1])
	return p, err
}

// traced makes a contender that measures the same while a trace runs.
func (b *bench) traced(untraced *sendingContender, w *world, kind traceKind) *sendingContender {
	s := &sendingContender{contender: contender{name: untraced.name + ", " + kind.words}}
	s.sample = func() (float64, error) {
		t, err := startTrace(w.node, kind.args)
		if err != nil {
			return 0, err
		}
		cost, err := untraced.sample()
		reported, stopErr := t.stop()
		if err := errors.Join(err, stopErr); err != nil {
			return 0, err
		}
		if reported < kind.least || reported > kind.most {
			return 0, fmt.Errorf("the trace reported %d packets, should be %d to %d", reported, kind.least, kind.most)
		}
		return cost, nil
	}
	return s
}

// traceProcess is a running xdp-portctl trace that prints to /dev/null.
type traceProcess struct {
	command *exec.Cmd
	stderr  *bufio.Reader
	words   strings.Builder // what it has printed to stderr
}

// startTrace returns once the trace listens.
func startTrace(on *node.Node, args []string) (*traceProcess, error) {
	bin, err := node.BinDir()
	if err != nil {
		return nil, err
	}
	t := &traceProcess{command: exec.Command(filepath.Join(bin, "xdp-portctl"), append([]string{"trace"}, args...)...)}
	t.command.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	stderr, err := t.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := on.NS.Do(func(ns.NetNS) error { return t.command.Start() }); err != nil {
		return nil, err
	}
	timer := time.AfterFunc(node.ToolTimeout, func() { _ = t.command.Process.Kill() })
	defer timer.Stop()
	t.stderr = bufio.NewReader(stderr)
	for !strings.Contains(t.words.String(), "press Ctrl-C to stop") {
		line, err := t.stderr.ReadString('\n')
		t.words.WriteString(line)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("xdp-portctl trace does not listen: %w: %s", err, &t.words), t.command.Wait())
		}
	}
	return t, nil
}

// stop ends the trace as Ctrl-C does, so that it gives up its lease. It returns the number of reported
// packets.
func (t *traceProcess) stop() (reported int, err error) {
	timer := time.AfterFunc(node.ToolTimeout, func() { _ = t.command.Process.Kill() })
	defer timer.Stop()
	err = t.command.Process.Signal(unix.SIGINT)
	rest, readErr := io.ReadAll(t.stderr)
	if err := errors.Join(err, readErr, t.command.Wait()); err != nil {
		return 0, fmt.Errorf("xdp-portctl trace: %w: %s%s", err, &t.words, rest)
	}
	found := regexp.MustCompile(`(\d+) packets reported`).FindSubmatch(rest)
	if found == nil {
		return 0, fmt.Errorf("xdp-portctl trace does not say how many packets it reported: %s", rest)
	}
	return strconv.Atoi(string(found[1]))
}
