package e2e

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/internal/need"
	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// The tests in this file use programs of other projects.

// start runs a server in a namespace until the test ends.
func start(t *testing.T, in ns.NetNS, name string, args ...string) {
	t.Helper()
	var output bytes.Buffer
	server := exec.Command(name, args...)
	server.Stdout, server.Stderr = &output, &output
	server.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL, Setpgid: true}
	must(t, in.Do(func(ns.NetNS) error { return server.Start() }))
	t.Cleanup(func() {
		_ = unix.Kill(-server.Process.Pid, unix.SIGKILL)
		_ = server.Wait()
		if t.Failed() {
			t.Logf("%s: %s", server, output.String())
		}
	})
}

// run runs a client in a namespace and returns its stdout. It retries while the server may still be
// starting.
func run(t *testing.T, in ns.NetNS, name string, args ...string) string {
	t.Helper()
	for deadline := time.Now().Add(pace.Patience(10 * time.Second)); ; time.Sleep(100 * time.Millisecond) {
		var output bytes.Buffer
		client := exec.Command(name, args...)
		client.Stdout, client.Stderr = &output, &output
		err := node.Run(in, client, pace.Patience(20*time.Second))
		if err == nil {
			return output.String()
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v\n%s", client, err, output.String())
		}
	}
}

func wantOutput(t *testing.T, output string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(output, part) {
			t.Errorf("%q is not in:\n%s", part, output)
		}
	}
}

// withRules makes a node with a container under these rules.
func withRules(t *testing.T, rules ...any) (*node.Node, *node.Container) {
	t.Helper()
	n := node.ForTest(t)
	must(t, n.Conflist(network("bridge", "1.1.0", "auto", rules)))
	return n, attach(t, n, "lab")
}

func TestDNS(t *testing.T) {
	need.Program(t, "dnsmasq", "dig")
	n, c := withRules(t,
		rule("protocol", "udp", "port", 53, "toPort", 5353),
		rule("protocol", "tcp", "port", 53, "toPort", 5353),
	)
	large := strings.Repeat("x", 250)
	start(t, n.Far, "dnsmasq", "--no-daemon", "--conf-file=/dev/null", "--no-resolv", "--no-hosts", "--port=5353",
		"--user=root", "--pid-file=", "--edns-packet-max=5000", "--address=/small.test/192.0.2.7",
		"--txt-record=large.test"+strings.Repeat(","+large, 16))
	for family, server := range families {
		t.Run(family, func(t *testing.T) {
			wantOutput(t, run(t, c.NS, "dig", "+short", "+tries=1", "@"+server, "small.test"), "192.0.2.7")
			wantOutput(t, run(t, c.NS, "dig", "+tcp", "+short", "+tries=1", "@"+server, "small.test"), "192.0.2.7")
			for _, transport := range []string{"+notcp", "+tcp"} {
				answer := run(t, c.NS, "dig", transport, "+ignore", "+bufsize=5000", "+tries=1", "@"+server, "large.test", "TXT")
				if count := strings.Count(answer, large); count != 16 {
					t.Errorf("%s: %d of 16 strings arrived", transport, count)
				}
			}
		})
	}
}

// nginx runs a web server that answers on each port with the port's number.
func nginx(t *testing.T, in ns.NetNS, ports ...int) {
	t.Helper()
	dir := t.TempDir()
	var servers strings.Builder
	for _, port := range ports {
		fmt.Fprintf(&servers, `server { listen %d; listen [::]:%[1]d; location / { return 200 "port %[1]d\n"; } }`+"\n", port)
	}
	config := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(config, fmt.Appendf(nil, `
daemon off; master_process off; pid %[1]s/pid; error_log stderr;
events { worker_connections 1024; }
http {
  access_log off; client_body_temp_path %[1]s; proxy_temp_path %[1]s; fastcgi_temp_path %[1]s;
  uwsgi_temp_path %[1]s; scgi_temp_path %[1]s;
  %[2]s
}`, dir, servers.String()), 0o600))
	start(t, in, "nginx", "-c", config, "-p", dir)
}

func TestWeb(t *testing.T) {
	need.Program(t, "nginx", "curl", "wrk")
	n, c := withRules(t,
		rule("direction", "ingress", "protocol", "tcp", "port", 80, "toPort", 8080),
		rule("protocol", "tcp", "port", "8000-8003", "toPort", "9000-9003"),
	)
	nginx(t, c.NS, 8080)
	nginx(t, n.Far, 9000, 9001, 9002, 9003)
	own := addresses(t, c)
	for _, url := range []string{"http://" + own["IPv4"].String(), "http://[" + own["IPv6"].String() + "]"} {
		wantOutput(t, run(t, n.Far, "curl", "-sSf", url+"/"), "port 8080")
		report := run(t, n.Far, "wrk", "-t1", "-c20", "-d1", url+"/")
		wantOutput(t, report, "requests in")
		if strings.Contains(report, "Socket errors") || strings.Contains(report, "Non-2xx") {
			t.Error(report)
		}
	}
	for i := range 4 {
		url := fmt.Sprintf("http://%s:%d/", node.FarIPv4, 8000+i)
		wantOutput(t, run(t, c.NS, "curl", "-sSf", url), fmt.Sprint("port ", 9000+i))
	}
}

func TestIperf(t *testing.T) {
	need.Program(t, "iperf3")
	n, c := withRules(t,
		rule("protocol", "tcp", "port", 5200, "toPort", 5201),
		rule("protocol", "udp", "port", 5200, "toPort", 5201),
	)
	start(t, n.Far, "iperf3", "-s", "-p", "5201")
	for _, args := range [][]string{{}, {"-R"}, {"-u", "-b", "100M"}, {"-u", "-b", "100M", "-R"}} {
		args = append([]string{"-c", node.FarIPv4, "-p", "5200", "-t", "1"}, args...)
		wantOutput(t, run(t, c.NS, "iperf3", args...), "receiver", "iperf Done.")
	}
}

// TestNetcat is the tutorial's scenario, with the answer that it lacked.
func TestNetcat(t *testing.T) {
	need.Program(t, "nc")
	n, c := withRules(t, tutorial()...)
	start(t, n.Far, "sh", "-c", "echo answer | nc -u -l 7998")
	out := run(t, c.NS, "sh", "-c", "echo question | nc -u -w 2 "+node.FarIPv4+" 7999 | grep answer")
	wantOutput(t, out, "answer")
}
