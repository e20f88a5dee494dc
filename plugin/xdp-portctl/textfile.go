package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
)

// writeTextfile writes the metrics into a file in one step. Where a symbolic link
// leads to it the link stays; what is no regular file is not replaced.
func writeTextfile(path string, from prometheus.Gatherer) error {
	target, err := textfileTarget(path)
	if err != nil {
		return err
	}
	return prometheus.WriteToTextfile(target, from)
}

// textfileTarget returns the file that is to be replaced, which may not be there.
func textfileTarget(path string) (string, error) {
	info, err := os.Stat(path)
	switch _, linkErr := os.Lstat(path); {
	case errors.Is(err, os.ErrNotExist) && linkErr == nil:
		return "", fmt.Errorf("--textfile: %s is a symbolic link that leads nowhere", path)
	case errors.Is(err, os.ErrNotExist):
		return path, nil
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("--textfile: %s is not a regular file: leave --textfile out to print the metrics", path)
	}
	return filepath.EvalSymlinks(path)
}
