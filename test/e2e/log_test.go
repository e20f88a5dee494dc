package e2e

import (
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/pkg/attachment"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// entry is a line of a log.
type entry struct {
	Level, Msg, Operation, Network, Container, Interface string
	Code                                                 uint
}

// TestLogFile expects a line for each operation, failed or not, and no effect on the runtime.
func TestLogFile(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	file := filepath.Join(t.TempDir(), "xdp-port.log")
	config := direct(tutorial())
	config["log"] = file
	wantSuccess(t, plugin(t, c, "ADD", config))
	wantSuccess(t, plugin(t, c, "CHECK", config))
	config["rules"] = []any{rule("protocol", "udp", "port", 70000, "action", "drop")}
	if refusal := plugin(t, c, "ADD", config); refusal == nil || refusal.Code != 7 {
		t.Errorf("ADD said %v", refusal)
	}
	wantSuccess(t, plugin(t, c, "DEL", config))
	text, err := os.ReadFile(file)
	must(t, err)
	want := []entry{
		{Level: "INFO", Msg: "ADD succeeded", Operation: "ADD"},
		{Level: "INFO", Msg: "CHECK succeeded", Operation: "CHECK"},
		{Level: "ERROR", Msg: "ADD failed: rules[0].port: 70000 is not a port (1-65535)", Operation: "ADD", Code: 7},
		{Level: "INFO", Msg: "DEL succeeded", Operation: "DEL"},
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%d lines, want %d:\n%s", len(lines), len(want), text)
	}
	for i, line := range lines {
		var got entry
		must(t, json.Unmarshal([]byte(line), &got))
		want[i].Network, want[i].Container, want[i].Interface = "lab", c.PluginID(), c.IfName
		if got != want[i] {
			t.Errorf("line %d: %s", i, line)
		}
	}
}

// TestLogReportsTheAttachment expects the log to say what "auto" chose, which ruleset is attached,
// and whether that is less than usual.
func TestLogReportsTheAttachment(t *testing.T) {
	node.NeedMode(t, "generic") // on PREEMPT_RT auto is tc in any case
	n := node.ForTest(t)
	c := bare(t, n)
	file := filepath.Join(t.TempDir(), "xdp-port.log")
	config := direct(tutorial())
	config["log"] = file
	type line struct {
		Level, Mode, TCHook, Device, Ruleset, Fallback string
		Rules                                          int
	}
	var device string
	attached := attachToHost(t, n, c, foreignProgram(t), link.XDPGenericMode)
	lines := func() (list []line) {
		text, err := os.ReadFile(file)
		must(t, err)
		for _, one := range strings.Split(strings.TrimSpace(string(text)), "\n") {
			var l line
			must(t, json.Unmarshal([]byte(one), &l))
			list = append(list, l)
		}
		return list
	}
	var want []line
	add := func(l line) {
		t.Helper()
		wantSuccess(t, plugin(t, c, "ADD", config))
		record, err := attachment.Folder(directAttachment(t, c)).Record()
		must(t, err)
		device = record.Device.Name
		l.TCHook, l.Device, l.Ruleset, l.Rules = record.Hook.String(), device, filepath.Base(directRuleset(t, c)), len(tutorial())
		want = append(want, l)
	}
	add(line{Level: "WARN", Mode: "tc", Fallback: "mode auto is tc here: a foreign XDP program is on the device"})
	must(t, attached.Close())
	add(line{Level: "WARN", Mode: "tc", Fallback: "mode auto stays tc here until the container is re-created"})
	config["mode"] = "tc"
	add(line{Level: "INFO", Mode: "tc"})
	config["mode"] = "generic"
	add(line{Level: "INFO", Mode: "generic"})
	config["rules"] = []any{}
	wantSuccess(t, plugin(t, c, "ADD", config))
	want = append(want, line{Level: "INFO"})
	if got := lines(); !slices.Equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestLogIsBounded uses values that cannot be printed unchanged, also in repeated entries.
func TestLogIsBounded(t *testing.T) {
	n := node.ForTest(t)
	file := filepath.Join(t.TempDir(), "xdp-port.log")
	keys := strings.Repeat(`, "`+"\u202e\u009b"+`": 1`, 20000)
	stdin := `{"cniVersion": "1.1.0", "name": "lab", "log": "` + file + `"` + keys + `}`
	answer, err := n.Call(node.Call{
		Operation: "ADD", ContainerID: strings.Repeat("a", 100<<10), NetNS: "/\u202e" + strings.Repeat("b", 100<<10), IfName: "e\u009b", Stdin: []byte(stdin),
	})
	must(t, err)
	if answer.Refusal == nil {
		t.Error("ADD succeeded")
	}
	text, err := os.ReadFile(file)
	must(t, err)
	if len(text) > 8<<10 || !strings.Contains(string(text), "and 19981 more") || strings.ContainsAny(string(text), "\u202e\u009b") {
		t.Errorf("the log has %d bytes: %.3000q", len(text), text)
	}
}

// TestLogThatCannotBeWritten expects ADD to work without a usable log: with a missing folder, with
// a pipe without a reader, and with stdout under another name.
func TestLogThatCannotBeWritten(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	must(t, unix.Mkfifo(pipe, 0o600))
	for _, log := range []string{"/no/such/folder/xdp-port.log", pipe, "/dev/stdout", "/proc/self/fd/1"} {
		n := node.ForTest(t)
		c := bare(t, n)
		config := direct(tutorial())
		config["log"] = log
		wantSuccess(t, plugin(t, c, "ADD", config))
		wantSuccess(t, plugin(t, c, "DEL", config))
	}
	// A runtime reads the error as JSON, so stdout must contain nothing else.
	n := node.ForTest(t)
	c := bare(t, n)
	config := direct([]any{rule("protocol", "udp", "port", 0, "action", "drop")})
	config["log"] = "/dev/stdout"
	if refusal := plugin(t, c, "ADD", config); refusal == nil || refusal.Code != 7 {
		t.Errorf("ADD said %v", refusal)
	}
}

// TestLogJournald puts a socket in place of the journal's, in a mount namespace.
func TestLogJournald(t *testing.T) {
	bin, err := node.BinDir()
	must(t, err)
	folder := t.TempDir()
	must(t, os.Chmod(folder, 0o755))
	journal, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(folder, "socket")})
	must(t, err)
	defer journal.Close()
	script := `mount -t tmpfs none /run && mkdir -p /run/systemd/journal && mount --bind "$1" /run/systemd/journal && exec "$2"`
	command := exec.Command("unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", folder, filepath.Join(bin, "xdp-port"))
	command.Env = append(os.Environ(), "CNI_COMMAND=DEL", "CNI_CONTAINERID=nobody", "CNI_IFNAME=eth0", "CNI_PATH="+bin)
	command.Stdin = strings.NewReader(`{"cniVersion": "1.0.0", "name": "lab", "type": "xdp-port", "log": "journald"}`)
	out, err := command.CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	must(t, journal.SetReadDeadline(time.Now().Add(pace.Patience(10*time.Second))))
	datagram := make([]byte, 1<<16)
	count, err := journal.Read(datagram)
	must(t, err)
	for _, field := range []string{
		"MESSAGE=DEL succeeded\n", "PRIORITY=6\n", "SYSLOG_IDENTIFIER=xdp-port\n",
		"XDP_PORT_CONTAINER=nobody\n", "XDP_PORT_NETWORK=lab\n", "XDP_PORT_OPERATION=DEL\n",
	} {
		if !strings.Contains(string(datagram[:count]), field) {
			t.Errorf("%q is not in\n%s", field, datagram[:count])
		}
	}
}
