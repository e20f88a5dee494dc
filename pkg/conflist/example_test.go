package conflist_test

import (
	"fmt"

	"github.com/xdp-port/xdp-port/pkg/confedit"
	"github.com/xdp-port/xdp-port/pkg/conflist"
)

const lab = `{
  "cniVersion": "1.0.0",
  "name": "lab",
  "plugins": [
    {"type": "bridge"},
    {"type": "xdp-port", "rules": [
      {"name": "smtp", "protocol": "tcp", "port": 25, "action": "drop"},
      {"name": "late", "protocol": "tcp", "port": 25, "action": "pass"}
    ]}
  ]
}`

func ExampleValidate() {
	list, err := conflist.New("lab.conflist", confedit.Inlined{Text: []byte(lab)})
	validation, err := conflist.Validate(list, err)
	if err != nil {
		fmt.Println(err)
	}
	for _, warning := range validation.Warnings {
		fmt.Printf("%d:%d: %s\n", warning.Line, warning.Column, warning.Problem)
	}
	// Output:
	// 8:7: rule "late" can never match: rule "smtp" before it matches all its packets
}

func ExampleCheck() {
	text := []byte(`{"cniVersion": "1.0.0", "name": "lab", "plugins": [
  {"type": "bridge"},
  {"type": "xdp-port", "rules": [{"protocol": "tcp", "port": 70000, "action": "drop"}]}]}`)
	fmt.Println(conflist.Check("lab.conflist", confedit.Inlined{Text: text}))
	// Output:
	// lab.conflist:3:62: error: plugins[1].rules[0].port: 70000 is not a port (1-65535)
}
