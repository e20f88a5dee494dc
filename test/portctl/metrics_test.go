package portctl

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/containernetworking/plugins/pkg/ns"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
	"github.com/xdp-port/xdp-port/test/pace"
)

// TestMetrics expects the same correct numbers on stdout, in a textfile and over HTTP, in a form
// that the client library's linter accepts.
func TestMetrics(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	send(t, c, 7999, 123)
	printed := portctl(t, n, "metrics").want(t, 0)
	file := filepath.Join(t.TempDir(), "xdp_port.prom")
	portctl(t, n, "metrics", "--textfile", file).want(t, 0)
	written, err := os.ReadFile(file)
	must(t, err)
	if left, _ := filepath.Glob(filepath.Dir(file) + "/*"); len(left) != 1 {
		t.Errorf("beside the textfile there is %v", left)
	}
	want := fmt.Sprintf("\nxdp_port_rule_packets_total{container=%q,interface=\"eth0\",network=\"lab\",rule=\"main\"} 123\n", c.ID())
	for where, text := range map[string]string{
		"stdout": printed, "the textfile": string(written), "HTTP": scrape(t, n),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s has no %q:\n%s", where, want, text)
		}
		if problems, err := promlint.New(strings.NewReader(text)).Lint(); err != nil || len(problems) > 0 {
			t.Errorf("%s: %v, %v", where, problems, err)
		}
	}
	if text := portctl(t, n, "metrics", "-o", "json").want(t, 0); !strings.Contains(text, `"value": 123`) {
		t.Errorf("%s", text)
	}
	portctl(t, n, "metrics", "--listen", "127.0.0.1:1", "--textfile", file).want(t, 2)
}

// scrape serves on the node's loopback and requests the metrics there.
func scrape(t *testing.T, n *node.Node) (text string) {
	t.Helper()
	server := node.ToolCommand(t, "metrics", "--listen", "127.0.0.1:0")
	stderr, err := server.StderrPipe()
	must(t, err)
	must(t, n.NS.Do(func(ns.NetNS) error { return server.Start() }))
	defer func() {
		must(t, server.Process.Signal(unix.SIGTERM))
		must(t, server.Wait())
	}()
	var url string
	_, err = fmt.Fscanf(stderr, "serving %s press Ctrl-C to stop\n", &url)
	must(t, err)
	url = strings.TrimSuffix(url, ",")
	code, body := fetch(t, n, url)
	if code != http.StatusOK {
		t.Fatalf("%d: %s", code, body)
	}
	return body
}

// fetch sends a request to a server on the node.
func fetch(t *testing.T, n *node.Node, url string) (code int, text string) {
	t.Helper()
	client := http.Client{Timeout: pace.Patience(time.Minute), Transport: &http.Transport{
		DialContext: func(_ context.Context, network, address string) (conn net.Conn, err error) {
			err = n.NS.Do(func(ns.NetNS) error {
				conn, err = net.Dial(network, address)
				return err
			})
			return conn, err
		},
		DisableKeepAlives: true,
	}}
	response, err := client.Get(url)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return response.StatusCode, string(body)
}
