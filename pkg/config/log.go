package config

import (
	"bytes"
	"fmt"
	"strings"
)

// journald is the word for systemd's journal.
const journald = "journald"

// readLog accepts only absolute paths: a plugin has no folder of its own.
func readLog(v *value) (string, error) {
	text, ok := v.Text()
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

// LogTarget returns the log of a configuration, as Network.Log has it, and the name of the
// network, however wrong the rest is. Both are empty if the configuration names no log.
func LogTarget(stdin []byte) (target, network string) {
	if !bytes.Contains(stdin, []byte(`"log"`)) {
		return "", "" // the usual case
	}
	document, err := parseDocument(stdin)
	if err != nil {
		return "", ""
	}
	network, _ = document.At("name").Text()
	if v := document.At("log"); v != nil {
		target, _ = readLog(v) // ADD reports a wrong log
	}
	return target, network
}
