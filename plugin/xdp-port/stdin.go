package main

import (
	"io"
	"os"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// takeAnyVersion has DEL and GC pass the CNI library, which refuses versions of
// CNI that a plugin does not list. They read nothing that differs by version, and
// a DEL that fails keeps the plugins before from giving back what they hold: the
// container's addresses.
func takeAnyVersion(command string) {
	takes := map[string]func([]byte) []byte{"DEL": config.ForDel, "GC": config.ForGC}[command]
	if takes == nil {
		return
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return // the library reads no more, and says so
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return
	}
	os.Stdin = reader
	go func() {
		defer writer.Close()
		_, _ = writer.Write(takes(text))
	}()
}
