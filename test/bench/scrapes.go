package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/bench/internal/result"
	"github.com/xdp-port/xdp-port/test/node"
)

const (
	scrapeCrowd  = 100
	scrapers     = 20
	scrapeRounds = 60
	// scrapeLead is how long scrapers run before ADD begins, so that ADD meets a collection at any point of
	// it.
	scrapeLead = 300 * time.Millisecond
)

// scrapes compares ADD with and without many connections that read the metrics of attached containers
// continuously. The plugin has no more priority than the metrics server here: both compete for the
// cores.
func scrapes(b *bench) error {
	n, err := b.newNode()
	if err != nil {
		return err
	}
	crowd, err := b.attachCrowd(n, b.less(scrapeCrowd))
	if err != nil {
		return err
	}
	url, err := b.serveMetrics(n)
	if err != nil {
		return err
	}
	guest := crowd[len(crowd)-1]
	guest.ordinary = true
	if _, err := guest.del(); err != nil {
		return err
	}
	quiet := &contender{name: "nobody scrapes", sample: process(guest.addAndDel)}
	busy := &contender{name: fmt.Sprint(scrapers, " connections scrape without end"), sample: process(func() (took time.Duration, err error) {
		failed := scrapeMeanwhile(n, url, func() {
			time.Sleep(scrapeLead)
			took, err = guest.addAndDel()
		})
		return took, errors.Join(err, failed)
	})}
	if err := b.takeTurns(b.less(scrapeRounds), []*contender{quiet, busy}); err != nil {
		return err
	}
	b.report(result.Table{
		Name: "scrapes", Title: fmt.Sprintf("ADD next to %d attached containers (clsact)", len(crowd)), Unit: "ms",
	}, []*contender{quiet, busy}, quiet)
	b.claim(result.Claim{What: fmt.Sprintf("ADD while %d connections scrape, relative to ADD without them", scrapers), Bound: 1.2},
		busy.samples.OverMedian(quiet.samples).Spread())
	return nil
}

func (b *bench) attachCrowd(n *node.Node, size int) (crowd []*pod, err error) {
	for range size {
		p, err := b.newPod(n, false)
		if err != nil {
			return nil, err
		}
		if _, err := p.add(crowdPlugin()); err != nil {
			return nil, err
		}
		crowd = append(crowd, p)
	}
	return crowd, nil
}

// addAndDel returns how long ADD took.
func (p *pod) addAndDel() (time.Duration, error) {
	took, err := p.add(crowdPlugin())
	if err != nil {
		return took, err
	}
	_, err = p.del()
	return took, err
}

// serveMetrics serves a node's metrics until the comparison is over.
func (b *bench) serveMetrics(n *node.Node) (url string, err error) {
	bin, err := node.BinDir()
	if err != nil {
		return "", err
	}
	command := exec.CommandContext(b.ctx, filepath.Join(bin, "xdp-portctl"), "metrics", "--listen", "127.0.0.1:0")
	command.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	stderr, err := command.StderrPipe()
	if err != nil {
		return "", err
	}
	if err := n.NS.Do(func(ns.NetNS) error { return command.Start() }); err != nil {
		return "", err
	}
	b.later(func() error {
		_ = command.Process.Kill()
		_ = command.Wait()
		return nil
	})
	line, err := bufio.NewReader(stderr).ReadString('\n')
	found := regexp.MustCompile(`http://\S+/metrics`).FindString(line)
	if err != nil || found == "" {
		return "", fmt.Errorf("metrics are not served: %q: %w", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }()
	return found, nil
}

// scrapeMeanwhile lets all scrapers scrape continuously while do runs.
func scrapeMeanwhile(n *node.Node, url string, do func()) error {
	ctx, cancel := context.WithCancel(context.Background())
	errs := make([]error, scrapers)
	var working sync.WaitGroup
	for i := range errs {
		working.Go(func() { errs[i] = scrapeUntil(ctx, n, url) })
	}
	do()
	cancel()
	working.Wait()
	return errors.Join(errs...)
}

// scrapeUntil scrapes over one connection until the context is done. A refused scrape is an error, and
// so is one that takes longer than Prometheus would wait.
func scrapeUntil(ctx context.Context, n *node.Node, url string) error {
	const patience = 10 * time.Second
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (conn net.Conn, err error) {
		err = n.NS.Do(func(ns.NetNS) error {
			conn, err = new(net.Dialer).DialContext(ctx, network, address)
			return err
		})
		return conn, err
	}}
	defer transport.CloseIdleConnections()
	client := &http.Client{Timeout: patience, Transport: transport}
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := client.Do(request)
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return err
		case response.StatusCode != http.StatusOK:
			return fmt.Errorf("a scrape is answered by %s", response.Status)
		}
	}
	return nil
}
