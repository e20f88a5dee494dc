package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

const (
	bulkRounds = 9
	bulkTime   = 1         // seconds
	bulkBytes  = 640 << 20 // divided by the scale of a shorter run
	bulkLeast  = 16 << 20
)

// bulkInIPv6 are fewer contenders than elsewhere, since a sample takes a second.
var bulkInIPv6 = []string{nothing, auto, tc, nft, emptyXDP}

// bulk compares how fast one TCP stream is, from the container and to it.
func bulk(b *bench) error {
	all, err := b.worlds(nothing, auto, native, tc, nft, iptables, tutorial, emptyXDP)
	if err != nil {
		return err
	}
	var streams []*stream
	for _, w := range all {
		stop, err := serveIperf(w.node.Far)
		if err != nil {
			return err
		}
		b.later(stop)
		for _, f := range families {
			if f == ipv4 || slices.Contains(bulkInIPv6, w.name) {
				streams = append(streams, b.streamsOf(w, f)...)
			}
		}
	}
	if err := b.takeTurns(b.less(bulkRounds), ofStreams(streams, nil, "")); err != nil {
		return err
	}
	for _, f := range families {
		for _, direction := range []string{out, back} {
			contenders := ofStreams(streams, f, direction)
			b.report(result.Table{
				Name: direction + f.suffix, Title: fmt.Sprintf("One TCP stream %s, %s", directionWords[direction], f.name), Unit: "Gbit/s",
			}, contenders, find(contenders, nothing))
			b.claimBulk(fmt.Sprintf("%s, %s", directionWords[direction], f.name), contenders)
		}
	}
	return nil
}

// Directions of a stream, as the container sees them.
const (
	out  = "bulk-out"
	back = "bulk-back"
)

var directionWords = map[string]string{out: "from the container", back: "to the container"}

// stream is a contender of one family and direction.
type stream struct {
	contender
	family    *family
	direction string
}

func (b *bench) streamsOf(w *world, f *family) []*stream {
	of := func(direction string, more ...string) *stream {
		return &stream{contender{name: w.name, sample: func() (float64, error) { return b.iperf(w, f, more...) }}, f, direction}
	}
	return []*stream{of(out), of(back, "-R")}
}

// ofStreams returns the contenders of a family and direction, or all of them.
func ofStreams(streams []*stream, f *family, direction string) (contenders []*contender) {
	for _, s := range streams {
		if f == nil || s.family == f && s.direction == direction {
			contenders = append(contenders, &s.contender)
		}
	}
	return contenders
}

// claimBulk asks of auto what an empty XDP program reaches.
func (b *bench) claimBulk(words string, contenders []*contender) {
	for _, asks := range []struct {
		name  string
		bound float64
	}{{auto, 0.87}, {tc, 0.98}} {
		b.claim(result.Claim{
			What: fmt.Sprintf("%s: one TCP stream %s, relative to nothing attached", asks.name, words), Bound: asks.bound, AtLeast: true,
		}, ratio(find(contenders, asks.name), find(contenders, nothing)))
	}
}

// serveIperf runs a server at the port that rewritten connections reach.
func serveIperf(in ns.NetNS) (stop func() error, err error) {
	server := exec.Command("nice", "-n", "-20", "iperf3", "-s", "-p", fmt.Sprint(answered))
	server.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	if err := in.Do(func(ns.NetNS) error { return server.Start() }); err != nil {
		return nil, fmt.Errorf("start iperf3: %w", err)
	}
	return func() error {
		err := unix.Kill(-server.Process.Pid, unix.SIGKILL)
		_ = server.Wait() // it was killed
		return err
	}, nil
}

// iperf returns the rate of arriving data, in Gbit/s. It waits for a server that is starting or still
// busy.
func (b *bench) iperf(w *world, f *family, more ...string) (rate float64, err error) {
	for deadline := time.Now().Add(pace.Patience(10 * time.Second)); ; time.Sleep(100 * time.Millisecond) {
		if rate, err = b.iperfOnce(w, f, more...); err == nil || time.Now().After(deadline) {
			return rate, err
		}
	}
}

func (b *bench) iperfOnce(w *world, f *family, more ...string) (float64, error) {
	port := answered
	if w.tcp {
		port = asked
	}
	args := []string{"-n", "-20", "iperf3", "-J", "-c", f.far.String(), "-p", fmt.Sprint(port)}
	if b.effort == fullEffort {
		args = append(args, "-t", fmt.Sprint(bulkTime))
	} else {
		args = append(args, "-n", fmt.Sprint(max(bulkLeast, bulkBytes/b.scale)))
	}
	client := exec.Command("nice", append(args, more...)...)
	var stdout bytes.Buffer
	client.Stdout = &stdout
	err := node.Run(w.NS, client, node.ToolTimeout)
	var answer struct {
		Error string
		End   struct {
			Received struct {
				BitsPerSecond float64 `json:"bits_per_second"`
			} `json:"sum_received"`
		}
	}
	if err := errors.Join(err, json.Unmarshal(stdout.Bytes(), &answer)); err != nil {
		return 0, fmt.Errorf("iperf3: %w: %s", err, answer.Error)
	}
	if answer.End.Received.BitsPerSecond == 0 { // seen of a server that had just started
		return 0, errors.New("iperf3: the server has received nothing")
	}
	return answer.End.Received.BitsPerSecond / 1e9, nil
}
