package config_test

import (
	"errors"
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/config"
)

func ExampleParse() {
	network, err := config.Parse([]byte(`{
		"cniVersion": "1.1.0", "name": "lab", "type": "xdp-port",
		"rules": [
			{ "protocol": "udp", "port": 7999, "toPort": 7998 },
			{ "protocol": "tcp", "port": 25, "action": "drop", "name": "no-smtp" }
		]
	}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, rule := range network.Rules {
		fmt.Println(rule.Name, rule.Action)
	}
	// Output:
	// rule-0 rewrite
	// no-smtp drop
}

func ExampleError() {
	_, err := config.ParseList([]byte(`{ "cniVersion": "1.1.0", "name": "lab", "plugins": [
  { "type": "bridge" },
  { "type": "xdp-port", "mod": "tc", "rules": [{ "protocol": "udp", "port": 70000, "action": "drop" }] }
]}`))
	var invalid *config.Error
	if errors.As(err, &invalid) {
		for _, problem := range invalid.Problems {
			fmt.Printf("%d:%d: %s\n", problem.At.Line, problem.At.Column, problem)
		}
	}
	// Output:
	// 3:32: plugins[1].mod: unknown key; did you mean "mode"?
	// 3:77: plugins[1].rules[0].port: 70000 is not a port (1-65535)
}

func ExampleEntry_ForContainer() {
	list, err := config.ParseList([]byte(`{ "cniVersion": "1.1.0", "name": "lab", "plugins": [
		{ "type": "bridge" },
		{
			"type": "xdp-port", "capabilities": { "xdpPortRules": true },
			"rules": [{ "protocol": "tcp", "port": 25, "action": "drop", "name": "no-smtp" }]
		}
	]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = list.Entries[0].ForContainer([]byte(`[{ "protocol": "tcp", "port": 2525, "toPort": 25 }]`))
	fmt.Println(err)
	// Output:
	// runtimeConfig.xdpPortRules[0].toPort: rewrites to port 25, which rule "no-smtp" of the network drops: choose another port
}
