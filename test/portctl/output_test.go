package portctl

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// everyOutput is the arguments of all commands with output.
func everyOutput(t *testing.T, c *node.Container) [][]string {
	t.Helper()
	valid := write(t, conflist("lab", rewriteTo(7998)))
	commands := [][]string{
		{"version"},
		{"--version"},
		{"help", "trace"},
		{"completion", "bash"},
		{"validate", valid},
		{"test", valid, "-p", "udp 1.1.1.1:1 > 2.2.2.2:2"},
	}
	for _, args := range [][]string{
		{"list"},
		{"show", c.ID()},
		{"stats", "-i", "0"},
		{"stats", "-w", "-i", "100ms"},
		{"flows", c.ID()},
		{"metrics"},
		{"apply", valid},
		{"apply", valid, "--dry-run"},
		{"gc"},
	} {
		commands = append(commands, args, append(args, "-o", "json"))
	}
	return commands
}

// TestReaderClosesThePipe closes the reading end, as head does. That must not be an error.
func TestReaderClosesThePipe(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	send(t, c, 7999, 1)
	for _, args := range everyOutput(t, c) {
		reader, writer, err := os.Pipe()
		must(t, err)
		must(t, reader.Close())
		if stderr, code := runInto(t, n, writer, args...); code != 0 || strings.Contains(stderr, "broken pipe") {
			t.Errorf("%v exits with %d: %s", args, code, stderr)
		}
		must(t, writer.Close())
	}
	must(t, c.RemoveInterface())
	reader, writer, err := os.Pipe()
	must(t, err)
	defer writer.Close()
	must(t, reader.Close())
	if _, code := runInto(t, n, writer, "list"); code != 1 {
		t.Errorf("something is wrong, and list exits with %d", code)
	}
}

// TestDiskIsFull expects an error if the output cannot be written.
func TestDiskIsFull(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	send(t, c, 7999, 1)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must(t, err)
	defer full.Close()
	for _, args := range everyOutput(t, c) {
		if args[0] == "gc" && len(args) == 1 {
			continue // it prints nothing
		}
		if stderr, code := runInto(t, n, full, args...); code != 1 || !strings.Contains(stderr, "no space left") {
			t.Errorf("%v exits with %d: %s", args, code, stderr)
		}
	}
}

// runInto runs the tool with its output in a file.
func runInto(t *testing.T, n *node.Node, stdout *os.File, args ...string) (stderr string, code int) {
	t.Helper()
	tool := node.ToolCommand(t, args...)
	var said bytes.Buffer
	tool.Stdout, tool.Stderr = stdout, &said
	must(t, n.NS.Do(func(ns.NetNS) error { return tool.Start() }))
	_ = tool.Wait()
	return said.String(), tool.ProcessState.ExitCode()
}

// TestTraceIntoAFIFO expects a trace to end if the reader of its capture closes it.
func TestTraceIntoAFIFO(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	path := t.TempDir() + "/fifo"
	must(t, unix.Mkfifo(path, 0o600))
	reader, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	r := startTrace(t, n, "--pcap", path)
	must(t, reader.Close())
	send(t, c, 7999, 1)
	r.end(t, false)
}
