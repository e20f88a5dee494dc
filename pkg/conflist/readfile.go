package conflist

import (
	"context"
	"fmt"
	"io"
	"os"
)

// mostText limits the size of a configuration.
const mostText = 16 << 20

// readFile reads a file. It stops waiting for a pipe when the context is done.
func readFile(ctx context.Context, path string) ([]byte, error) {
	return interruptible(ctx, path, func() ([]byte, error) {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		return readText(path, file)
	})
}

// interruptible stops waiting for read when the context is done. Opening a pipe and reading
// stdin cannot be interrupted themselves.
func interruptible(ctx context.Context, path string, read func() ([]byte, error)) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		text, err := read()
		done <- result{text, err}
	}()
	select {
	case r := <-done:
		return r.text, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("read %s: interrupted", path)
	}
}

func readText(path string, from io.Reader) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(from, mostText+1))
	if err == nil && len(text) > mostText {
		return nil, fmt.Errorf("%s is larger than %d MiB: this is not a configuration", path, mostText>>20)
	}
	return text, err
}
