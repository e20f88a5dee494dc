package config

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		example,
		``, `{`, `[]`, `{}`, `null`, ` {"name": "lab"} `,
		network(`"mode": "native", "tcHook": "clsact", "flows": 1024`),
		network(`"mode": "tc", "tcHook": 5, "flows": "65536", "flows": null`),
		network(`"rules": 5`), network(`"rules": null`), network(`"rules": [null, 5, [], {}]`),
		network(`"rules": [{"protocol": "tcp", "port": "1-65535", "action": "drop", "oneWay": true, "name": "rule-1"}, {}]`),
		network(`"rules": [{"Protocol": "TCP", "port": "90 - 80", "toPort": 8e1, "port": -1, "cidr": []}]`),
		network(`"rules": [{"protocol": "udp", "port": 0, "toPort": "80-80", "action": "rewrite", "oneWay": false}]`),
		network(`"rules": [{"protocol": "udp", "action": "pass", "cidrs": ["10.0.0.0/8", "::ffff:10.0.0.1/128", "fe80::1%a/64", "::/0"]}]`),
		network(declareBoth + annotated(`[{"protocol": "udp", "port": 1, "toPort": 70000}]`)),
		network(declareBoth + annotated(" [\n{}] ") + `, "args": {"cni": {"xdpPortRules": [{"protocol": "tcp", "action": "drop"}, {}]}}`),
		network(`"capabilities": {"xdpPortRules": 1}, "args": {"cni": null}, "cni.dev/valid-attachments": [{"containerID": "a", "ifname": "eth0"}]`),
		beside(noSMTP+","+localDNS, `{"protocol": "tcp", "port": "1-99", "toPort": "2-100"}`),
		beside(noTCP, `{"direction": "ingress", "protocol": "tcp", "port": 80, "toPort": 8080}`),
		network(`"prevResult": {"cniVersion": "0.4.0", "ips": [null]}`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stdin []byte) {
		n, err := Parse(stdin)
		if err != nil {
			checkError(t, err)
			return
		}
		checkNetwork(t, n)
		checkSameIdentity(t, n, stdin)
	})
}

// checkError requires that a user can find every problem.
func checkError(t *testing.T, err error) {
	var invalid *Error
	if !errors.As(err, &invalid) || len(invalid.Problems) == 0 {
		t.Fatalf("%#v lists no problems", err)
	}
	if strings.ContainsAny(err.Error(), "\r\n") {
		t.Errorf("%q is not one line", err)
	}
	offset := 0
	for _, m := range invalid.Problems {
		if m.Place == "" || m.Text == "" {
			t.Errorf("problem without place or text: %+v", m)
		}
		if m.offset < offset {
			t.Errorf("%v is out of order", m)
		}
		offset = m.offset
	}
}

func checkNetwork(t *testing.T, n *Network) {
	if n.Name == "" || n.CNIVersion == "" || n.Flows < MinFlows || n.Flows > MaxFlows || len(n.Rules) > MaxRules {
		t.Errorf("accepted %+v", n)
	}
	_, _ = n.Mode.String(), n.TCHook.String()
	names := map[string]bool{}
	for _, r := range n.Rules {
		if names[r.Name] {
			t.Errorf("two rules are named %q", r.Name)
		}
		names[r.Name] = true
		if problem := invalid(r); problem != "" {
			t.Errorf("%s: %+v", problem, r)
		}
	}
}

var validName = regexp.MustCompile(`\A[A-Za-z0-9_.-]{1,63}\z`)

// invalid returns what is wrong with an accepted rule.
func invalid(r rules.Rule) string {
	isRewrite := r.Action == rules.Rewrite
	switch {
	case !validName.MatchString(r.Name):
		return "bad name"
	case r.Direction > rules.Ingress, r.Protocol != rules.TCP && r.Protocol != rules.UDP, r.Action > rules.Pass:
		return "bad direction, protocol or action"
	case r.Ports != rules.EveryPort && (r.Ports.First == 0 || r.Ports.First > r.Ports.Last):
		return "bad ports"
	case isRewrite && (r.Ports == rules.EveryPort || r.To.First == 0 || r.To.First > r.To.Last || r.To == r.Ports):
		return "bad rewrite"
	case isRewrite && r.To.Len() != 1 && r.To.Len() != r.Ports.Len():
		return "ports of different lengths"
	case !isRewrite && (r.To != rules.PortRange{} || r.OneWay):
		return "not a rewrite, but has its keys"
	}
	for i, peer := range r.Peers {
		if !peer.IsValid() || peer != peer.Masked() || peer.Addr().Is4In6() || slices.Contains(r.Peers[:i], peer) {
			return "bad peers"
		}
	}
	return ""
}

// checkSameIdentity requires that DEL reads the same identity as ADD.
func checkSameIdentity(t *testing.T, n *Network, stdin []byte) {
	id, err := ParseIdentity(stdin)
	if err != nil {
		var invalid *Error
		if !errors.As(err, &invalid) || !strings.Contains(invalid.Problems[0].Place, attachmentsKey) {
			t.Errorf("accepted, but its identity is not: %v", err)
		}
		return
	}
	if id.Name != n.Name || id.CNIVersion != n.CNIVersion {
		t.Errorf("identity %+v of %+v", id, n)
	}
}
