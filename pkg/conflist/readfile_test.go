package conflist

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPipe stops waiting for a pipe that has no writer.
func TestPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Read(ctx, path); err == nil || !strings.Contains(err.Error(), "read "+path+": interrupted") {
		t.Errorf("%v", err)
	}
	file, err := os.OpenFile(path, os.O_RDWR, 0) // lets the reader end
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
}

// TestHuge refuses a file without end.
func TestHuge(t *testing.T) {
	if _, err := Read(t.Context(), "/dev/zero"); err == nil || !strings.Contains(err.Error(), "/dev/zero is larger than 16 MiB") {
		t.Errorf("%v", err)
	}
}
