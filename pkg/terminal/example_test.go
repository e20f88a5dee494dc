package terminal_test

import (
	"fmt"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/terminal"
)

func ExampleTable() {
	table := terminal.NewTable(false,
		terminal.Column{Name: "container"},
		terminal.Column{Name: "packets", Kind: terminal.Right},
		terminal.Column{Name: "ruleset", Kind: terminal.Wide},
	)
	table.Row("3f4a6c01", "12", "b41c")
	table.Row("9d20", "12345", "b41c")
	fmt.Println(table)
	// Output:
	// CONTAINER  PACKETS
	// 3f4a6c01        12
	// 9d20         12345
}

func ExamplePrinter() {
	var out strings.Builder
	printer := terminal.NewPrinter(&out)
	fmt.Fprintln(printer, "a device named \x1b[2Jveth0")
	fmt.Print(out.String())
	// Output:
	// a device named \x1b[2Jveth0
}
