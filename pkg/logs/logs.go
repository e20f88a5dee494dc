// Package logs writes down what the plugin did, where its configuration says
// so: nowhere, into a file, or into systemd's journal.
//
// It never writes to stdout, which belongs to the runtime, never waits for long,
// and what it cannot write is lost.
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

// Journald is the target that stands for systemd's journal.
const Journald = "journald"

// Open opens a target: nothing, Journald, or a file, which is made if it is not
// there and added to. Each record becomes one line of JSON, or one entry of the
// journal with fields that begin with XDP_PORT_. The caller must Close the closer.
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

// asField gives an attribute a name that the journal takes.
func asField(_ []string, a slog.Attr) slog.Attr {
	a.Key = "XDP_PORT_" + strings.ToUpper(a.Key)
	return a
}

// openFile waits for nobody at the other end of a pipe, and refuses what is
// stdout by another name.
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

// patience is how long a record may take: a log that hangs must not keep a
// container from starting.
const patience = time.Second

// Within does the writing, but does not wait longer than patience for it.
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
