package simulate_test

import (
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/rules"
	"github.com/xdp-port/xdp-port/pkg/simulate"
)

func ExampleRun() {
	list := []rules.Rule{{
		Name: "dns", Protocol: rules.UDP, Ports: rules.PortRange{First: 53, Last: 53},
		Action: rules.Rewrite, To: rules.PortRange{First: 5353, Last: 5353},
	}}
	packet, err := simulate.ParsePacket("udp 10.88.0.2:4000 > 1.1.1.1:53", rules.Egress)
	if err != nil {
		fmt.Println(err)
		return
	}
	outcome := simulate.Run(packet, list)
	fmt.Printf("%s by rule %q\n%s\n", outcome.Action, list[outcome.Rule].Name, outcome.After)
	// Output:
	// rewrite by rule "dns"
	// egress udp 10.88.0.2:4000 > 1.1.1.1:5353
}
