package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"

	"github.com/xdp-port/xdp-port/test/node"
)

// tool prints the output of xdp-portctl on the node. It must exit with the code.
func (s *story) tool(code int, args ...string) error {
	command, err := s.command(args...)
	if err != nil {
		return err
	}
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err = node.Run(s.node.NS, command, node.ToolTimeout)
	return s.showRun(command, out.String(), err, code)
}

func (s *story) command(args ...string) (*exec.Cmd, error) {
	bin, err := node.BinDir()
	if err != nil {
		return nil, err
	}
	command := exec.Command(filepath.Join(bin, "xdp-portctl"), args...)
	command.Dir = s.node.Dir
	return command, nil
}

func (s *story) showRun(command *exec.Cmd, out string, err error, code int) error {
	var words []string
	for _, word := range command.Args[1:] {
		if strings.ContainsAny(word, " >") {
			word = "'" + word + "'"
		}
		words = append(words, word)
	}
	say("\n   $ xdp-portctl %s", strings.Join(words, " "))
	for line := range strings.Lines(out) {
		say("   %s", strings.TrimSuffix(line, "\n"))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return err
	}
	if got := command.ProcessState.ExitCode(); got != code {
		return fmt.Errorf("xdp-portctl %v exited with %d, should with %d", command.Args[1:], got, code)
	}
	return nil
}

// secondAct shows each command of the operator's tool.
func (s *story) secondAct() error {
	say("\n4. The operator's tool, on a network with some more rules")
	if err := s.node.Conflist(toolNetwork(7998)); err != nil {
		return err
	}
	for name, list := range map[string]string{"next.conflist": next, "bad.conflist": bad} {
		if err := os.WriteFile(filepath.Join(s.node.Dir, name), []byte(list), 0o600); err != nil {
			return err
		}
	}
	return s.withContainer("lab2", func(c *node.Container) error {
		for _, step := range []func(*node.Container) error{s.see, s.watchPackets, s.changeRules, s.checkFirst, s.leftOver} {
			if err := step(c); err != nil {
				return err
			}
		}
		return nil
	})
}

// toolNetwork has rules that rewrite, drop and exempt.
func toolNetwork(to int) map[string]any {
	type object = map[string]any
	return object{
		"cniVersion": "1.0.0", "name": "lab2",
		"plugins": []any{
			object{
				"type": "bridge", "bridge": "cni1", "isGateway": true,
				"ipam": object{
					"type":   "host-local",
					"ranges": []any{[]any{object{"subnet": "10.89.0.0/16"}}},
					"routes": []any{object{"dst": "0.0.0.0/0"}},
				},
			},
			object{"type": "xdp-port", "rules": []any{
				object{"name": "tutorial", "protocol": "udp", "port": 7999, "toPort": to},
				object{"name": "no-smtp", "protocol": "udp", "port": 25, "action": "drop"},
				object{"name": "dns", "protocol": "udp", "port": 53, "action": "pass"},
			}},
		},
	}
}

const next = `{
  "cniVersion": "1.0.0", "name": "lab2",
  "plugins": [
    { "type": "bridge" },
    { "type": "xdp-port", "rules": [
      { "name": "tutorial", "protocol": "udp", "port": 7999, "toPort": 7997 },
      { "name": "no-smtp", "protocol": "udp", "port": 25, "action": "drop" },
      { "name": "dns", "protocol": "udp", "port": 53, "action": "pass" },
      { "name": "late", "protocol": "udp", "port": 7999, "action": "drop" } ] }
  ]
}
`

const bad = `{
  "cniVersion": "1.0.0", "name": "lab2",
  "plugins": [
    { "type": "bridge" },
    { "type": "xdp-port", "rules": [
      { "protocol": "udp", "port": 70000, "toPort": 7998 },
      { "proto": "tcp", "port": 25, "action": "drop" } ] }
  ]
}
`

// sendTo sends datagrams, whether they arrive or not.
func sendTo(c *node.Container, port uint16, count int) error {
	conn, err := node.ListenUDP(c.NS, 0)
	if err != nil {
		return err
	}
	defer conn.Close()
	to := netip.AddrPortFrom(netip.MustParseAddr(node.FarIPv4), port)
	for range count {
		if _, err := conn.WriteToUDPAddrPort([]byte("datagram"), to); err != nil {
			return err
		}
	}
	return nil
}

func (s *story) see(c *node.Container) error {
	for port, count := range map[uint16]int{7999: 1000, 25: 100, 53: 10} {
		if err := sendTo(c, port, count); err != nil {
			return err
		}
	}
	return errors.Join(
		s.tool(0, "list"),
		s.tool(0, "show", c.ID()[:12]),
		s.tool(0, "stats"),
		s.tool(0, "flows", c.ID()[:12]),
		s.tool(0, "metrics", "--textfile", "xdp_port.prom"),
		s.showMetrics("xdp_port_rule_packets_total{"),
	)
}

// showMetrics prints the lines of the metrics file that begin with prefix.
func (s *story) showMetrics(prefix string) error {
	text, err := os.ReadFile(filepath.Join(s.node.Dir, "xdp_port.prom"))
	if err != nil {
		return err
	}
	say("\n   $ grep ^%s xdp_port.prom", strings.TrimSuffix(prefix, "{"))
	found := false
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, prefix) {
			say("   %s", strings.TrimSuffix(line, "\n"))
			found = true
		}
	}
	if !found {
		return fmt.Errorf("no metric %s...} in:\n%s", prefix, text)
	}
	return nil
}

// watchPackets traces a few packets.
func (s *story) watchPackets(c *node.Container) error {
	command, err := s.command("trace", "--protocol", "udp", "--direction", "egress", "--count", "3")
	if err != nil {
		return err
	}
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	if err := s.node.NS.Do(func(ns.NetNS) error { return command.Start() }); err != nil {
		return err
	}
	timer := time.AfterFunc(node.ToolTimeout, func() { _ = command.Process.Kill() })
	defer timer.Stop()
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	for {
		select {
		case err := <-ended:
			return s.showRun(command, out.String(), err, 0)
		case <-time.After(100 * time.Millisecond):
		}
		for _, port := range []uint16{7999, 25, 53} {
			if err := sendTo(c, port, 1); err != nil {
				return err
			}
		}
	}
}

func (s *story) changeRules(c *node.Container) error {
	return errors.Join(
		s.tool(0, "apply", "--dry-run", "next.conflist"),
		s.tool(0, "apply", "next.conflist"),
		s.tool(0, "show", c.ID()[:12]),
	)
}

func (s *story) checkFirst(*node.Container) error {
	return errors.Join(
		s.tool(1, "validate", "bad.conflist"),
		s.tool(0, "validate", "next.conflist"),
		s.tool(0, "test", "next.conflist", "--packet", "udp 10.89.0.2:4000 > 1.1.1.1:7999", "--packet", "udp 10.89.0.2:4000 > 1.1.1.1:25"),
		s.tool(0, "doctor"),
		s.tool(0, "docs", "man"),
		s.tool(0, "version"),
	)
}

func (s *story) leftOver(c *node.Container) error {
	say("\n   The container dies without DEL:")
	if err := c.RemoveInterface(); err != nil {
		return err
	}
	return errors.Join(s.tool(1, "list"), s.tool(0, "gc"), s.tool(0, "list"))
}
