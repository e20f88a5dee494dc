package e2e

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/test/node"
)

// Sources of a container's own rules.
const (
	fromRuntime    = "xdpPortRules"
	fromAnnotation = "io.kubernetes.cri.pod-annotations"
	fromArgs       = "args"
)

// asRuntime returns what a runtime passes for a container with these rules.
func asRuntime(t *testing.T, source string, rules []any) string {
	t.Helper()
	var passed any = rules
	if source == fromAnnotation {
		passed = map[string]any{"xdp-port/rules": text(t, rules)}
	}
	return text(t, map[string]any{source: passed})
}

func text(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	must(t, err)
	return string(text)
}

// declaring is a network that lets containers have rules of their own.
func declaring(rules []any, capabilities ...string) map[string]any {
	list := network("bridge", "1.1.0", "auto", rules)
	declared := map[string]any{}
	for _, capability := range capabilities {
		declared[capability] = true
	}
	entryOf(list)["capabilities"] = declared
	return list
}

// entryOf returns xdp-port's entry in a conflist of network.
func entryOf(list map[string]any) map[string]any {
	return list["plugins"].([]any)[1].(map[string]any)
}

// TestContainerRules gives one container its own rules, from each source, and lets it try to
// undo a drop of its network. Another container must not be affected.
func TestContainerRules(t *testing.T) {
	shared := append(tutorial(), rule("protocol", "udp", "port", 7000, "action", "drop", "name", "closed"))
	own := []any{
		rule("protocol", "udp", "port", 7001, "toPort", 7998),
		rule("protocol", "udp", "port", 7000, "action", "pass"),
		rule("protocol", "udp", "port", 7000, "toPort", 7998),
	}
	for _, source := range []string{fromRuntime, fromAnnotation, fromArgs} {
		t.Run(source, func(t *testing.T) {
			before := node.State()
			n := node.ForTest(t)
			must(t, n.Conflist(declaring(shared, fromRuntime, fromAnnotation)))
			serveNames(t, n.Far, 7000, 7001, 7998)
			other := attach(t, n, "lab")
			c, err := n.Container()
			must(t, err)
			if source == fromArgs { // Multus writes these into the conflist for each pod
				list := declaring(shared, fromRuntime, fromAnnotation)
				entryOf(list)["args"] = map[string]any{"cni": map[string]any{"xdpPortRules": own}}
				must(t, n.Conflist(list))
			} else {
				c.CapArgs = asRuntime(t, source, own)
			}
			_, err = c.Attach("lab")
			must(t, err)
			_, err = c.CNITool("check", "lab")
			must(t, err)
			for family := range families {
				wantAnswer(t, c.NS, far(family, 7001), "7998")
				wantAnswer(t, c.NS, far(family, 7999), "7998")
				wantAnswer(t, c.NS, far(family, 7000), "")
				wantAnswer(t, other.NS, far(family, 7001), "7001")
				wantAnswer(t, other.NS, far(family, 7999), "7998")
				wantAnswer(t, other.NS, far(family, 7000), "")
			}
			// DEL must work whatever has become of the rules.
			if source != fromArgs {
				c.CapArgs = asRuntime(t, source, []any{"nonsense"})
			}
			must(t, c.Detach("lab"))
			must(t, other.Detach("lab"))
			must(t, before.Unchanged())
		})
	}
}

// TestContainerRulesAlone has a network without rules.
func TestContainerRulesAlone(t *testing.T) {
	before := node.State()
	n := node.ForTest(t)
	list := declaring(nil, fromAnnotation)
	entryOf(list)["rules"] = []any{}
	must(t, n.Conflist(list))
	serve(t, n.Far, 7998)
	c, err := n.Container()
	must(t, err)
	c.CapArgs = asRuntime(t, fromAnnotation, tutorial())
	_, err = c.Attach("lab")
	must(t, err)
	must(t, node.ExchangeUDP(c.NS, far("IPv6", 7999), node.Sizes(100, 0, 1400)))
	must(t, node.ConnectTCP(c.NS, far("IPv4", 7999), 20))
	_, err = c.CNITool("check", "lab")
	must(t, err)
	must(t, c.Detach("lab"))
	must(t, before.Unchanged())
}

// TestBadContainerRules expects one container's ADD to fail with the place of the error, and
// other containers to work.
func TestBadContainerRules(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(declaring(append(tutorial(), rule("protocol", "tcp", "port", 25, "action", "drop", "name", "no-smtp")),
		fromRuntime, fromAnnotation)))
	serve(t, n.Far, 7998)
	good := attach(t, n, "lab")
	before := node.State()
	annotation := func(rules string) string {
		return text(t, map[string]any{fromAnnotation: map[string]any{"xdp-port/rules": rules}})
	}
	for name, tt := range map[string]struct{ capArgs, want string }{
		"rule": {
			annotation(`[{"protocol": "udp", "action": "drop"}, {"protocol": "udp", "port": 1, "toPort": 70000}]`),
			"annotation xdp-port/rules: rules[1].toPort: 70000 is not a port (1-65535)",
		},
		"syntax": {annotation("[\n {]"), "annotation xdp-port/rules: line 2, column 3: invalid character ']'"},
		"list":   {asRuntime(t, fromRuntime, []any{rule("protocol", "udp", "port", 0, "toPort", 1)}), "runtimeConfig.xdpPortRules[0].port: 0 is not a port"},
		"evasion": {
			annotation(`[{"protocol": "tcp", "port": 2525, "toPort": 25}]`),
			`annotation xdp-port/rules: rules[0].toPort: rewrites to port 25, which rule "no-smtp" of the network drops`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := n.Container()
			must(t, err)
			c.CapArgs = tt.capArgs
			if _, err = c.Attach("lab"); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
			must(t, c.Detach("lab"))
			must(t, before.Unchanged())
		})
	}
	must(t, node.ExchangeUDP(good.NS, far("IPv4", 7999), node.Sizes(10, 0, 100)))
}

// TestContainersHaveNoSay has a network that does not allow containers' rules. Requested rules
// have no effect.
func TestContainersHaveNoSay(t *testing.T) {
	n := node.ForTest(t)
	must(t, n.Conflist(declaring([]any{})))
	serveNames(t, n.Far, 7998, 7999)
	c, err := n.Container()
	must(t, err)
	c.CapArgs = text(t, map[string]any{fromRuntime: tutorial(), fromAnnotation: map[string]any{"xdp-port/rules": text(t, tutorial())}})
	_, err = c.Attach("lab")
	must(t, err)
	wantAnswer(t, c.NS, far("IPv4", 7999), "7999")

	before := node.State()
	config := direct([]any{})
	config["capabilities"] = map[string]any{}
	config["runtimeConfig"] = map[string]any{fromRuntime: tutorial()}
	config["args"] = map[string]any{"cni": map[string]any{"xdpPortRules": tutorial()}}
	wantSuccess(t, plugin(t, c, "ADD", config))
	must(t, before.Unchanged())
	wantAnswer(t, c.NS, far("IPv4", 7999), "7999")
}

// TestContainerRulesCode expects code 7, and an error about the container's list only.
func TestContainerRulesCode(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	before := node.State()
	config := direct(tutorial())
	config["capabilities"] = map[string]any{fromRuntime: true}
	many := make([]any, 65)
	for i := range many {
		many[i] = rule("protocol", "udp", "port", 1+i, "action", "drop")
	}
	config["runtimeConfig"] = map[string]any{fromRuntime: many}
	wantRefusal(t, plugin(t, c, "ADD", config), 7, "runtimeConfig.xdpPortRules: 65 rules", "at most 64")
	config["args"] = map[string]any{"cni": map[string]any{"xdpPortRules": []any{rule("protocol", "icmp", "action", "drop")}}}
	config["runtimeConfig"] = map[string]any{fromRuntime: ""}
	wantRefusal(t, plugin(t, c, "ADD", config), 7, "args.cni.xdpPortRules[0].protocol")
	wantSuccess(t, plugin(t, c, "DEL", config))
	must(t, before.Unchanged())
}

// TestCheckWantsTheSameContainerRules runs CHECK with the parameters of ADD, as the
// specification demands.
func TestCheckWantsTheSameContainerRules(t *testing.T) {
	n := node.ForTest(t)
	c := bare(t, n)
	config := direct(tutorial())
	config["capabilities"] = map[string]any{fromRuntime: true}
	config["runtimeConfig"] = map[string]any{fromRuntime: []any{rule("protocol", "udp", "port", 7001, "toPort", 7998)}}
	wantSuccess(t, plugin(t, c, "ADD", config))
	wantSuccess(t, plugin(t, c, "CHECK", config))
	delete(config, "runtimeConfig")
	wantRefusal(t, plugin(t, c, "CHECK", config), 100, "rules", "runtimeConfig")
}
