package main

import (
	"io"
	"os"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// readStdin reads the configuration from stdin, and replaces stdin by a pipe with the same
// text for the CNI library, so that errors of the library can be explained. It returns nil
// if that is not possible; then the library reads stdin itself.
//
// The library refuses versions that the plugin does not list. DEL and GC must work with any
// version, because they read nothing that differs by version. A failed DEL would keep the
// plugins before from releasing the container's addresses.
func readStdin(command string) []byte {
	switch command {
	case "ADD", "CHECK", "DEL", "GC", "STATUS":
	default:
		return nil
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil // the library fails, too, and reports it
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		return nil
	}
	os.Stdin = reader
	go func() {
		defer writer.Close()
		_, _ = writer.Write(inKnownVersion(command, text))
	}()
	return text
}

func inKnownVersion(command string, text []byte) []byte {
	switch command {
	case "DEL":
		return config.ForDel(text)
	case "GC":
		return config.ForGC(text)
	}
	return text
}
