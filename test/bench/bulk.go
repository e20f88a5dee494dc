package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

const (
	bulkRounds = 11
	bulkTime   = 1         // seconds
	bulkBytes  = 640 << 20 // divided by the scale of a shorter run
	bulkLeast  = 16 << 20
)

// bulk compares how fast one TCP stream is, from the container and to it.
func bulk(b *bench) error {
	all, err := b.worlds(nothing, auto, native, tc, nft, iptables, tutorial, emptyXDP)
	if err != nil {
		return err
	}
	var out, back []*contender
	for _, w := range all {
		stop, err := serveIperf(w.node.Far)
		if err != nil {
			return err
		}
		b.later(stop)
		out = append(out, &contender{name: w.name, sample: func() (float64, error) { return b.iperf(w) }})
		back = append(back, &contender{name: w.name, sample: func() (float64, error) { return b.iperf(w, "-R") }})
	}
	if err := b.takeTurns(b.less(bulkRounds), append(out[:len(out):len(out)], back...)); err != nil {
		return err
	}
	for _, direction := range []struct {
		name, words string
		contenders  []*contender
	}{{"bulk-out", "from the container", out}, {"bulk-back", "to the container", back}} {
		base := find(direction.contenders, nothing)
		b.report(result.Table{
			Name: direction.name, Title: "One TCP stream " + direction.words, Unit: "Gbit/s",
		}, direction.contenders, base)
		b.claimBulk(direction.words, direction.contenders)
	}
	return nil
}

func (b *bench) claimBulk(words string, contenders []*contender) {
	base, dnat := find(contenders, nothing), find(contenders, nft)
	for _, asks := range []struct {
		name  string
		bound float64
	}{{auto, 0.9}, {tc, 0.98}} {
		c := find(contenders, asks.name)
		b.claim(result.Claim{
			What: fmt.Sprintf("%s: one TCP stream %s, relative to no plugin", asks.name, words), Bound: asks.bound, AtLeast: true,
		}, ratio(c, base))
	}
	c := find(contenders, tc)
	b.claim(result.Claim{
		What: fmt.Sprintf("%s: one TCP stream %s, relative to nft DNAT", tc, words), Bound: 1, AtLeast: true,
	}, ratio(c, dnat))
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
func (b *bench) iperf(w *world, more ...string) (rate float64, err error) {
	for deadline := time.Now().Add(pace.Patience(10 * time.Second)); ; time.Sleep(100 * time.Millisecond) {
		if rate, err = b.iperfOnce(w, more...); err == nil || time.Now().After(deadline) {
			return rate, err
		}
	}
}

func (b *bench) iperfOnce(w *world, more ...string) (float64, error) {
	port := answered
	if w.tcp {
		port = asked
	}
	args := []string{"-n", "-20", "iperf3", "-J", "-c", node.FarIPv4, "-p", fmt.Sprint(port)}
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
	return answer.End.Received.BitsPerSecond / 1e9, nil
}
