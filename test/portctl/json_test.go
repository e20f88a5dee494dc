package portctl

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xdp-port/xdp-port/test/node"
)

// flow is a flow in the tool's output.
type flow struct {
	Network, Container, Interface, Direction, Protocol, Local, Peer, Original, Rule string
}

// TestFlowsNameTheContainer expects the container's ID next to its address.
func TestFlowsNameTheContainer(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	send(t, c, 7999, 1)
	flows := decodeList[flow](t, portctl(t, n, "flows", c.ID(), "-o", "json").want(t, 0), "flows")
	if len(flows) != 1 {
		t.Fatalf("%+v", flows)
	}
	f := flows[0]
	address, err := c.Addr(unix.AF_INET)
	must(t, err)
	if !strings.HasPrefix(f.Local, address.String()+":") {
		t.Errorf("the local end of %+v is not at %s", f, address)
	}
	f.Local = ""
	if want := (flow{"lab", c.ID(), "eth0", "egress", "udp", "", far(7998).String(), far(7999).String(), "main"}); f != want {
		t.Errorf("%+v, want %+v", f, want)
	}
}

// TestMovedFlowsAreShown sends from one socket to a port of the rules and to its target. list,
// trace and counters must show which source port changed.
func TestMovedFlowsAreShown(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	conn, err := node.ListenUDP(c.NS, 4000)
	must(t, err)
	defer conn.Close()
	r := startTrace(t, n, "-n", "2", "--protocol", "udp", "-o", "json")
	for _, port := range []uint16{7999, 7998} {
		_, err := conn.WriteToUDPAddrPort([]byte("hello"), far(port))
		must(t, err)
	}
	if text := r.end(t, false); strings.Count(text, `"portMoved":true`) != 1 {
		t.Errorf("the trace does not have one packet with a changed source port:\n%s", text)
	}
	type moved struct {
		Local, State     string
		SourcePortBefore int
	}
	shown := 0
	for _, f := range decodeList[moved](t, portctl(t, n, "flows", c.ID(), "-o", "json").want(t, 0), "flows") {
		if hasPort := strings.HasSuffix(f.Local, ":4000"); hasPort != (f.SourcePortBefore == 0) || f.State != "unanswered" {
			t.Errorf("shown as %+v", f)
		}
		shown++
	}
	if table := portctl(t, n, "flows", c.ID()).want(t, 0); shown != 2 || !strings.Contains(table, "SOURCE") {
		t.Errorf("%d flows are shown, and the table\n%s", shown, table)
	}
	if text := portctl(t, n, "show", c.ID()).want(t, 0); !strings.Contains(text, "1 ports moved") {
		t.Errorf("the counters are shown as\n%s", text)
	}
}

// TestDocumentsAreDocumented expects a schema version in the JSON of each command, and each of
// its keys in docs/json.md.
func TestDocumentsAreDocumented(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c, gone := attach(t, n), attach(t, n)
	send(t, c, 7999, 1)
	must(t, gone.RemoveInterface())
	r := startTrace(t, n, "-n", "1", "-o", "json")
	send(t, c, 7999, 1)
	documents := []string{r.end(t, false)}
	next, wrong := write(t, conflist("lab", rewriteTo(7997))), write(t, conflist("lab", rewriteTo(70000)))
	for _, args := range []string{
		"list", "show " + c.ID(), "stats -i 100ms", "flows " + c.ID(), "metrics", "version", "doctor", "gc --dry-run",
		"apply --dry-run " + next, "validate " + wrong, "test -p udp#1.1.1.1:1#>#2.2.2.2:7999 " + next,
	} {
		words := strings.Fields(args)
		for i := range words {
			words[i] = strings.ReplaceAll(words[i], "#", " ")
		}
		documents = append(documents, portctl(t, n, append(words, "-o", "json")...).stdout)
	}
	watched := portctl(t, n, "stats", "-w", "-i", "100ms", "-n", "2", "-o", "json").want(t, 0)
	documents = append(documents, slices.Collect(strings.Lines(watched))...)
	page, err := os.ReadFile("../../docs/json.md")
	must(t, err)
	for _, text := range documents {
		document := decode[map[string]any](t, text)
		if document["schemaVersion"] != 1.0 {
			t.Errorf("the schema's version is not in\n%s", text)
		}
		for _, key := range keysOf(document) {
			if !strings.Contains(string(page), "`"+key+"`") {
				t.Errorf("docs/json.md has no %q of\n%s", key, text)
			}
			if !regexp.MustCompile(`^[a-z]+([A-Z][a-z]+|-[a-z]+)*$`).MatchString(key) {
				t.Errorf("a key is spelled %q", key)
			}
		}
	}
}

// keysOf returns the keys of a value at all depths, except a metric's labels.
func keysOf(value any) []string {
	var keys []string
	switch v := value.(type) {
	case map[string]any:
		for key, below := range v {
			keys = append(keys, key)
			if key != "labels" {
				keys = append(keys, keysOf(below)...)
			}
		}
	case []any:
		for _, below := range v {
			keys = append(keys, keysOf(below)...)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// TestHooksHaveOneOrder expects the table to list programs in the order of the JSON.
func TestHooksHaveOneOrder(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(conflist("lab", rewriteTo(7998))))
	c := attach(t, n)
	var order, ids []string
	for _, p := range showJSON(t, n, c).Programs {
		order = append(order, p.Hook)
		id, err := json.Marshal(p.ID)
		must(t, err)
		ids = append(ids, string(id))
	}
	if want := []string{"xdp", "tc_ingress", "tc_egress"}; !slices.Equal(order, want) {
		t.Errorf("the order is %v, want %v", order, want)
	}
	if text := portctl(t, n, "list", "-o", "wide").want(t, 0); !strings.Contains(text, strings.Join(ids, ",")) {
		t.Errorf("programs %v are not in this order in\n%s", ids, text)
	}
}
