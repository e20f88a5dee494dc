package conformance

import (
	"fmt"
	"strings"
	"testing"
	"unicode"

	"github.com/xdp-port/xdp-port/test/node"
)

// TestTypoIsRefused makes typos that would disable a rule that drops. Every operation but
// DEL and GC must refuse them.
func TestTypoIsRefused(t *testing.T) {
	n := answering(t)
	l := lay(t, n, newContainer(t, n), "a", "eth0", 1)
	drop := []any{rule("protocol", "udp", "port", 7999, "action", "drop")}
	for name, tt := range map[string]struct {
		configured config
		says       string
	}{
		"rule":     {lab().without("rules").with("rule", drop), `rule: unknown key; did you mean "rules"?`},
		"Rules":    {lab().without("rules").with("Rules", drop), `Rules: unknown key; did you mean "rules"?`},
		"mods":     {lab().with("mods", "tc"), `mods: unknown key; did you mean "mode"?`},
		"tchook":   {lab().with("tchook", "clsact"), `tchook: unknown key; did you mean "tcHook"?`},
		"no rules": {lab().without("rules"), `rules is missing`},
		"null":     {lab().with("rules", nil), `null is not a list of rules`},
	} {
		t.Run(name, func(t *testing.T) {
			for _, operation := range []string{"ADD", "CHECK", "STATUS"} {
				fail(t, n, l.call(t, operation, tt.configured), 7, tt.says)
			}
			l.wantNoPrograms(t)
			l.succeed(t, "ADD", lab())
			l.succeed(t, "GC", tt.configured.with("cni.dev/valid-attachments", []any{rule("containerID", "a", "ifname", "eth0")}))
			l.succeed(t, "CHECK", lab())
			l.succeed(t, "DEL", tt.configured)
			l.wantNoPrograms(t)
		})
	}
	for _, key := range []string{"ipam", "dns", "ipMasq", "cni.dev/x", "example.com/x", "a.b", "_comment", "deviceID", "pciBusID"} {
		l.succeed(t, "STATUS", lab().with(key, "x"))
	}
}

// TestRulesThatNoTableHolds expects STATUS to know the limits, too: there are more prefixes
// than the kernel's table can hold.
func TestRulesThatNoTableHolds(t *testing.T) {
	n := node.ForTest(t)
	ask := status(t)
	ask.Stdin = tooMuch().without("prevResult").bytes(t)
	fail(t, n, ask, 7, "rules: ", "prefixes")
}

// TestErrorsAreBounded uses an annotation of the maximum size in Kubernetes, and names that
// control a terminal.
func TestErrorsAreBounded(t *testing.T) {
	n := node.ForTest(t)
	keys := strings.Repeat(`{"\u202e\u009b":"`+"\u202e\u009b\x7f"+`"},`, 10000)
	annotated := lab().with("capabilities", map[string]any{"io.kubernetes.cri.pod-annotations": true},
		"runtimeConfig", map[string]any{"io.kubernetes.cri.pod-annotations": map[string]any{"xdp-port/rules": "[" + keys + "{}]"}})
	c := newContainer(t, n)
	endings := map[string]string{ // a long value must leave room for the fix
		"long interface": "(at most 15 bytes, not . or .., without / : and white space)",
		"bad ID":         "(letters, digits, _ . and -, beginning with a letter or digit)",
		"netns":          "cannot be opened: file name too long",
		"operation":      "it must be ADD, CHECK, DEL, GC, STATUS or VERSION",
		"version":        "write one of 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0",
	}
	for name, call := range map[string]node.Call{
		"long interface": {Operation: "ADD", ContainerID: "a", NetNS: c.NS.Path(), IfName: strings.Repeat("e", 9000), Stdin: lab().bytes(t)},
		"annotation":     {Operation: "ADD", ContainerID: "a", NetNS: c.NS.Path(), IfName: "eth0", Stdin: annotated.bytes(t)},
		"container ID":   {Operation: "ADD", ContainerID: strings.Repeat("a", 100<<10), NetNS: c.NS.Path(), IfName: "eth0", Stdin: lab().bytes(t)},
		"interface":      {Operation: "ADD", ContainerID: "a", NetNS: c.NS.Path(), IfName: "e\u202e\u009bX", Stdin: lab().bytes(t)},
		"bad ID":         {Operation: "ADD", ContainerID: "\u202e\x1b[31m" + strings.Repeat("a", 100<<10), NetNS: c.NS.Path(), IfName: "eth0", Stdin: lab().bytes(t)},
		"netns":          {Operation: "ADD", ContainerID: "a", NetNS: "/\x1b\u202e" + strings.Repeat("a", 100<<10), IfName: "eth0", Stdin: lab().bytes(t)},
		"operation":      {Operation: "\u009b" + strings.Repeat("A", 100<<10), Stdin: lab().bytes(t)},
		"version":        {Operation: "STATUS", Stdin: lab().with("cniVersion", "\u202e"+strings.Repeat("9", 100<<10)).bytes(t)},
		"prevResult": {
			Operation: "ADD", ContainerID: "a", NetNS: c.NS.Path(), IfName: "eth0",
			Stdin: lab().with("prevResult", map[string]any{"ips": []any{rule("address", strings.Repeat("\u202e", 100<<10))}}).bytes(t),
		},
		"log": {
			Operation: "STATUS",
			Stdin:     lab().with("log", "\u202e"+strings.Repeat("x", 100<<10)).bytes(t),
		},
	} {
		t.Run(name, func(t *testing.T) {
			refusal := run(t, n, call).Refusal
			if refusal == nil {
				t.Fatal("it succeeded")
			}
			if want := endings[name]; !strings.HasSuffix(refusal.Msg, want) || want != "" && len(refusal.Msg) > 1<<10 {
				t.Errorf("%q is cut from %.1500q", want, refusal.Msg)
			}
			if size := len(refusal.Msg) + len(refusal.Details); size >= 8<<10 {
				t.Errorf("the error has %d bytes: %.500s", size, refusal.Msg)
			}
			hostile := func(r rune) bool { return r != '\n' && r != '\t' && !unicode.IsPrint(r) }
			if strings.ContainsFunc(refusal.Msg+refusal.Details, hostile) {
				t.Errorf("the error cannot be printed: %.500q %.500q", refusal.Msg, refusal.Details)
			}
		})
	}
}

// tooMuch is a configuration with a long list of addresses for each of many ports.
func tooMuch() config {
	var cidrs []any
	for i := range 2000 {
		cidrs = append(cidrs, fmt.Sprintf("10.%d.%d.0/24", i/256, i%256))
	}
	list := []any{}
	for i := range 600 {
		list = append(list, rule("protocol", "tcp", "port", 1000+2*i, "action", "drop", "cidrs", []any{"192.0.2.1/32"}))
	}
	return lab().with("rules", append(list, rule("protocol", "tcp", "action", "pass", "cidrs", cidrs)))
}
