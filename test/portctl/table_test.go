package portctl

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/containernetworking/plugins/pkg/ns"
	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestTablesFit uses long names, long lists and problems. Each table must fit into 80 columns and
// contain its last column; with -o wide it has more.
func TestTablesFit(t *testing.T) {
	const network = "a-network-with-a-name-that-is-longer-than-most"
	n := node.ForTest(t)
	long := object{
		"protocol": "udp", "port": 25, "action": "drop", "name": strings.Repeat("long-", 12),
		"cidrs": []string{"10.99.0.0/16", "10.98.0.0/16", "10.97.0.0/16", "10.96.0.0/16", "fd00:1234:5678:9abc::/64"},
	}
	list := conflist(network, rewriteTo(7998), long)
	must(t, n.Conflist(list))
	var containers []*node.Container
	for range 2 {
		c, err := n.Container()
		must(t, err)
		_, err = c.Attach(network)
		must(t, err)
		send(t, c, 7999, 1)
		send(t, c, 25, 1)
		containers = append(containers, c)
	}
	a, path := showJSON(t, n, containers[0]), write(t, list)
	id := containers[0].ID()
	must(t, os.Remove(filepath.Join(node.StateFolder, "rulesets", a.Ruleset, "attachments", network, id, "eth0", "xdp")))
	for _, test := range []struct {
		args  []string
		last  string // the last column, or another required word
		wider string // a column of -o wide
	}{
		{[]string{"list"}, "HEALTH", "PROBLEMS"},
		{[]string{"show", id}, "BYTES", ""},
		{[]string{"stats", "-i", "100ms"}, "DROPPED", "REPLY-RESTORED"},
		{[]string{"flows", id}, "RULE", "CONTAINER"},
		{[]string{"apply", path, "--dry-run"}, "", ""},
		{[]string{"apply", path}, "OUTCOME", ""},
		{[]string{"doctor"}, "STATUS", ""},
	} {
		text := portctl(t, n, test.args...).stdout
		for line := range strings.Lines(text) {
			if columns := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); columns > 80 {
				t.Errorf("%v prints a line of %d columns:\n%s", test.args, columns, text)
			}
		}
		if !strings.Contains(text, test.last) || test.wider != "" && strings.Contains(text, test.wider) {
			t.Errorf("%v prints\n%s", test.args, text)
		}
		if text := portctl(t, n, append(test.args, "-o", "wide")...).stdout; !strings.Contains(text, test.wider) {
			t.Errorf("%v -o wide prints\n%s", test.args, text)
		}
	}
	must(t, containers[1].RemoveInterface())
	if text := portctl(t, n, "gc").want(t, 0); utf8.RuneCountInString(strings.Split(text, "\n")[1]) > 80 {
		t.Errorf("%s", text)
	}
}

// TestManPagesHaveAFooter expects source, date and title side by side in man's layout for 80
// columns.
func TestManPagesHaveAFooter(t *testing.T) {
	folder := t.TempDir()
	portctl(t, node.ForTest(t), "docs", folder).want(t, 0)
	pages, err := filepath.Glob(folder + "/*.8")
	must(t, err)
	heading := regexp.MustCompile(`(?m)^\.TH "(.*)" "8" "(.*)" "(.*)" "(.*)"$`)
	for _, page := range pages {
		text, err := os.ReadFile(page)
		must(t, err)
		found := heading.FindStringSubmatch(string(text))
		if found == nil {
			t.Fatalf("%s has no heading", page)
		}
		const width = 78 // man's margin takes 2 of 80
		title, date, source := len(found[1])+len("(8)"), len(found[2]), len(found[3])
		if before, after := (width-date)/2, (width+date)/2; source >= before || width-title <= after {
			t.Errorf("%s: what stands below overlaps: %q", page, found)
		}
	}
	if len(pages) == 0 {
		t.Error("no pages")
	}
}

// TestWatchFits expects the drops on a terminal of 80 columns.
func TestWatchFits(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998), object{"protocol": "udp", "port": 25, "action": "drop", "name": "no-smtp"})))
	c := attach(t, n)
	send(t, c, 25, 123)
	tty, shown := openTerminal(t)
	must(t, unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80}))
	tool := node.ToolCommand(t, "stats", "--watch", "--interval", "100ms")
	tool.Env = append(os.Environ(), "TERM=xterm")
	tool.Stdin, tool.Stdout, tool.Stderr = tty, tty, tty
	must(t, n.NS.Do(func(ns.NetNS) error { return tool.Start() }))
	t.Cleanup(func() { _ = tool.Process.Kill() })
	shown.await(t, "DROPPED", "123", "no-smtp")
	shown.press(t, "q")
	must(t, tool.Wait())
}

// TestWatchOnADumbTerminal expects reports one after the other, without escapes.
func TestWatchOnADumbTerminal(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	attach(t, n)
	tty, shown := openTerminal(t)
	tool := node.ToolCommand(t, "stats", "--watch", "--interval", "100ms", "--count", "2")
	tool.Env = append(os.Environ(), "TERM=dumb")
	tool.Stdin, tool.Stdout, tool.Stderr = tty, tty, tty
	must(t, n.NS.Do(func(ns.NetNS) error { return tool.Start() }))
	t.Cleanup(func() { _ = tool.Process.Kill() })
	must(t, tool.Wait())
	shown.await(t, "main")
	if text := shown.String(); strings.Contains(text, "\x1b") || strings.Count(text, "CONTAINER") != 4 {
		t.Errorf("two reports of two tables are\n%q", text)
	}
}
