package config

import "testing"

func TestPortProblems(t *testing.T) {
	const neither = ` is neither a port number nor a range such as "8000-8099"`
	tests := []refused{
		{"zero", `0`, `0 is not a port (1-65535)`},
		{"negative", `-80`, `-80 is not a port (1-65535)`},
		{"too big", `70000`, `70000 is not a port (1-65535)`},
		{"huge", `99999999999999999999`, `99999999999999999999 is not a port (1-65535)`},
		{"fraction", `80.5`, `80.5 is not a port (1-65535)`},
		{"exponent too big", `8e4`, `8e4 is not a port (1-65535)`},
		{"exponent beyond all", `8e999`, `8e999 is not a port (1-65535)`},
		{"boolean", `true`, `true` + neither},
		{"null", `null`, `null is no value: leave the key out`},
		{"list", `[80, 443]`, `[80,443]` + neither},
		{"object", `{"from": 80}`, `{"from":80}` + neither},
		{"quoted", `"80"`, `"80" is a string: write 80 without quotes`},
		{"quoted and spaced", `" 80 "`, `" 80 " is a string: write 80 without quotes`},
		{"quoted and too big", `"70000"`, `70000 is not a port (1-65535)`},
		{"empty", `""`, `""` + neither},
		{"word", `"http"`, `"http"` + neither},
		{"leading zero", `"080-090"`, `"080-090"` + neither},
		{"sign", `"+80-90"`, `"+80-90"` + neither},
		{"no last", `"80-"`, `"80-"` + neither},
		{"no first", `"-80"`, `"-80"` + neither},
		{"three", `"80-90-100"`, `"80-90-100"` + neither},
		{"colon", `"80:90"`, `"80:90"` + neither},
		{"enumeration", `"80,443"`, `"80,443"` + neither},
		{"long dash", `"80–90"`, `"80–90"` + neither},
		{"spaces", `"80 - 90"`, `"80 - 90" contains spaces: write "80-90"`},
		{"tab", `"80-90\t"`, `"80-90\t" contains spaces: write "80-90"`},
		{"backwards", `"90-80"`, `"90-80" is backwards: write "80-90"`},
		{"from zero", `"0-80"`, `0 is not a port (1-65535)`},
		{"beyond the end", `"80-65536"`, `65536 is not a port (1-65535)`},
	}
	var asPort, asToPort []refused
	for _, tt := range tests {
		asPort = append(asPort, refused{tt.name, `{"protocol": "tcp", "toPort": 1, "port": ` + tt.stdin + `}`, `rules[0].port: ` + tt.want})
		asToPort = append(asToPort, refused{tt.name, `{"protocol": "tcp", "port": 1, "toPort": ` + tt.stdin + `}`, `rules[0].toPort: ` + tt.want})
	}
	t.Run("port", func(t *testing.T) { checkRefusals(t, inRules(asPort)) })
	t.Run("toPort", func(t *testing.T) { checkRefusals(t, inRules(asToPort)) })
}

func TestPortsThatDoNotGoTogether(t *testing.T) {
	const fix = `: give both the same length, or toPort a single port`
	const same = `rules[0].toPort: is the same as port, so nothing changes: use action "pass" to leave packets alone`
	checkRefusals(t, inRules([]refused{
		{"shorter", `{"protocol": "tcp", "port": "80-89", "toPort": "90-98"}`, `rules[0].toPort: has 9 ports, but port has 10` + fix},
		{"longer", `{"protocol": "tcp", "port": "80-89", "toPort": "90-100"}`, `rules[0].toPort: has 11 ports, but port has 10` + fix},
		{"number to range", `{"protocol": "tcp", "port": 80, "toPort": "90-99"}`, `rules[0].toPort: has 10 ports, but port has 1` + fix},
		{"same number", `{"protocol": "tcp", "port": 80, "toPort": 80}`, same},
		{"same range", `{"protocol": "tcp", "port": "80-89", "toPort": "80-89"}`, same},
		{"same, written otherwise", `{"protocol": "tcp", "port": "80-80", "toPort": 80}`, same},
	}))
}

// TestPortsAreNumbersHoweverWritten has numbers in other spellings of JSON.
func TestPortsAreNumbersHoweverWritten(t *testing.T) {
	got := parse(t, network(`"rules": [{"protocol": "tcp", "port": 80.0, "toPort": 8.1e1}]`)).Rules[0]
	if got.Ports != ports(80, 80) || got.To != ports(81, 81) {
		t.Errorf("got %+v", got)
	}
}
