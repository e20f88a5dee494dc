package config

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/xdp-port/xdp-port/pkg/jsondoc"
	"github.com/xdp-port/xdp-port/pkg/rules"
)

// readPorts reads a port number, or a range of ports in a string.
func readPorts(v *value) (rules.PortRange, error) {
	if v.IsNumber() {
		port, isWhole := v.Whole()
		if !isWhole || port < 1 || port > int(rules.EveryPort.Last) {
			return rules.PortRange{}, notAPort(v.String())
		}
		return rules.PortRange{First: uint16(port), Last: uint16(port)}, nil
	}
	text, ok := v.Text()
	if !ok {
		return rules.PortRange{}, notPorts(v)
	}
	first, last, isRange := strings.Cut(text, "-")
	if !isRange {
		return rules.PortRange{}, loneNumber(v, text)
	}
	return parseRange(v, first, last)
}

func parseRange(v *value, first, last string) (rules.PortRange, error) {
	a, b := strings.TrimSpace(first), strings.TrimSpace(last)
	if !isDigits(a) || !isDigits(b) {
		return rules.PortRange{}, notPorts(v)
	}
	low, err := parsePort(a)
	if err != nil {
		return rules.PortRange{}, err
	}
	high, err := parsePort(b)
	if err != nil {
		return rules.PortRange{}, err
	}
	switch {
	case a != first || b != last:
		err = fmt.Errorf(`%s contains spaces: write "%d-%d"`, v, min(low, high), max(low, high))
	case low > high:
		err = fmt.Errorf(`%s is backwards: write "%d-%d"`, v, high, low)
	}
	return rules.PortRange{First: low, Last: high}, err
}

// loneNumber is the error of a string that is not a range.
func loneNumber(v *value, text string) error {
	digits := strings.TrimSpace(text)
	if !isDigits(digits) {
		return notPorts(v)
	}
	port, err := parsePort(digits)
	if err != nil {
		return err
	}
	return inQuotes(v, port)
}

func notPorts(v *value) error {
	return fmt.Errorf(`%s is neither a port number nor a range such as "8000-8099"`, v)
}

func parsePort(digits string) (uint16, error) {
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || port == 0 {
		return 0, notAPort(digits)
	}
	return uint16(port), nil
}

func notAPort(text string) error {
	return fmt.Errorf("%s is not a port (1-65535)", jsondoc.Shorten(text))
}

// isDigits reports whether s is a whole number in the form of JSON: "010" is not.
func isDigits(s string) bool {
	return s == "0" || s != "" && s[0] != '0' && strings.Trim(s, "0123456789") == ""
}
