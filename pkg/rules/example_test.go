package rules_test

import (
	"fmt"
	"net/netip"

	"github.com/xdp-port/xdp-port/pkg/rules"
)

// list rewrites DNS to an internal server, and drops all other DNS.
var list = []rules.Rule{
	{
		Name: "internal", Protocol: rules.UDP, Ports: rules.PortRange{First: 53, Last: 53},
		Action: rules.Rewrite, To: rules.PortRange{First: 5353, Last: 5353},
		Peers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")},
	},
	{Name: "other", Protocol: rules.UDP, Ports: rules.PortRange{First: 53, Last: 53}, Action: rules.Drop},
}

func ExampleDecide() {
	for _, server := range []string{"10.0.0.53", "192.0.2.53"} {
		rule := &list[rules.Decide(list, rules.Egress, rules.UDP, 53, netip.MustParseAddr(server))]
		fmt.Println(server, rule.Name, rule.Action)
	}
	// Output:
	// 10.0.0.53 internal rewrite
	// 192.0.2.53 other drop
}

func ExampleCompile() {
	table, err := rules.Compile(list)
	if err != nil {
		fmt.Println(err)
		return
	}
	rule, _ := table.Lookup(rules.Egress, rules.UDP, 53, netip.MustParseAddr("10.0.0.53"))
	fmt.Println(table.Rules[rule].Name)
	_, isTarget := table.Lookup(rules.Egress, rules.UDP, 5353, netip.MustParseAddr("10.0.0.53"))
	fmt.Println("a rewrite may produce port 5353:", isTarget)
	// Output:
	// internal
	// a rewrite may produce port 5353: true
}

func ExampleFindUnreachable() {
	shadowed := []rules.Rule{list[1], list[0]} // the drop comes first now
	for _, u := range rules.FindUnreachable(shadowed) {
		fmt.Printf("%s never decides: %s comes first\n", shadowed[u.Rule].Name, shadowed[u.Behind].Name)
	}
	// Output: internal never decides: other comes first
}

func ExampleRule_Rewritten() {
	rule := rules.Rule{
		Protocol: rules.TCP, Ports: rules.PortRange{First: 8000, Last: 8099},
		Action: rules.Rewrite, To: rules.PortRange{First: 9000, Last: 9099},
	}
	fmt.Println(rule.Rewritten(8042))
	// Output: 9042
}
