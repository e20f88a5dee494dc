package main

import (
	"io"
	"os"

	"github.com/xdp-port/xdp-port/pkg/config"
)

// readStdin takes the configuration from stdin and puts another pipe there for the
// CNI library, so that what the library refuses can be explained. It returns nil
// if that is not possible: the library then reads stdin itself.
//
// DEL and GC pass the library with versions of CNI that a plugin does not list,
// which it refuses. They read nothing that differs by version, and a DEL that
// fails keeps the plugins before from giving back what they hold: the container's
// addresses.
func readStdin(command string) []byte {
	switch command {
	case "ADD", "CHECK", "DEL", "GC", "STATUS":
	default:
		return nil
	}
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		return nil // the library reads no more, and says so
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
