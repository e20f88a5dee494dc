// Package logs writes the plugin's log to the target that the configuration names:
// a file, systemd's journal, or nothing.
//
// It never writes to stdout, which belongs to the container runtime, and never
// blocks for long. It drops a record that it cannot write.
package logs

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	slogjournal "github.com/systemd/slog-journal"
	"golang.org/x/sys/unix"
)

// Journald is the target for systemd's journal.
const Journald = "journald"

// Open opens a target: Journald, the path of a file, or empty to log nothing.
//
// It creates a missing file and appends to an existing one. A record becomes a line
// of JSON in a file, and an entry with XDP_PORT_ fields in the journal. The caller
// must Close the closer.
func Open(target string) (*slog.Logger, io.Closer, error) {
	switch target {
	case "":
		return slog.New(slog.DiscardHandler), io.NopCloser(nil), nil
	case Journald:
		handler, err := slogjournal.NewHandler(&slogjournal.Options{ReplaceAttr: asField})
		if err != nil {
			return nil, nil, fmt.Errorf("open the journal: %w", err)
		}
		return slog.New(handler), io.NopCloser(nil), nil
	}
	file, err := openFile(target)
	if err != nil {
		return nil, nil, fmt.Errorf("open the log: %w", err)
	}
	return slog.New(slog.NewJSONHandler(file, nil)), file, nil
}

// asField gives an attribute a name that the journal accepts.
func asField(_ []string, a slog.Attr) slog.Attr {
	a.Key = "XDP_PORT_" + strings.ToUpper(a.Key)
	return a
}

// openFile does not wait for the reader of a pipe, and refuses a path that leads to
// stdout.
func openFile(path string) (*os.File, error) {
	const readableByOwner = 0o600
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY|unix.O_NONBLOCK, readableByOwner)
	if err != nil {
		return nil, err
	}
	opened, err := file.Stat()
	stdout, stdoutErr := os.Stdout.Stat()
	if err == nil && stdoutErr == nil && os.SameFile(opened, stdout) {
		err = fmt.Errorf("%s is stdout, which belongs to the container runtime", path)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// patience is how long writing a record may take: a log that hangs must not keep a
// container from starting.
const patience = time.Second

// Within calls write, and returns after one second even if write has not returned.
func Within(write func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		write()
	}()
	select {
	case <-done:
	case <-time.After(patience):
	}
}
