package config

import (
	"bytes"
	"fmt"
	"strings"
)

// journald is the log that is no file.
const journald = "journald"

// readLog takes a path from the root only: a plugin has no folder of its own
// that others would be relative to.
func readLog(v *value) (string, error) {
	text, ok := v.text()
	switch {
	case !ok:
		return "", notAString(v)
	case text == journald:
	case !strings.HasPrefix(text, "/") || strings.HasSuffix(text, "/") || strings.ContainsFunc(text, isControl):
		return "", fmt.Errorf(`%s is neither %q nor the path of a file such as "/var/log/xdp-port.log"`, v, journald)
	}
	return text, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

// LogTarget returns where a configuration wants to be logged, as Network.Log,
// and the name of the network, however wrong the rest of it is: nothing where
// it does not tell.
func LogTarget(stdin []byte) (target, network string) {
	if !bytes.Contains(stdin, []byte(`"log"`)) {
		return "", "" // mostly: no need to look closer
	}
	document, err := parseDocument(stdin)
	if err != nil {
		return "", ""
	}
	network, _ = document.at("name").text()
	if v := document.at("log"); v != nil {
		target, _ = readLog(v) // a bad one is a mistake that ADD reports
	}
	return target, network
}
