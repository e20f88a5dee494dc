package metrics

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"
)

// WriteTextfile writes the metrics into a file for node_exporter, in one step. It follows a
// symbolic link, and replaces only a regular file.
func WriteTextfile(path string, from prometheus.Gatherer) error {
	target, err := textfileTarget(path)
	if err != nil {
		return err
	}
	return prometheus.WriteToTextfile(target, from)
}

// textfileTarget returns the path of the file to replace, which may not exist yet.
func textfileTarget(path string) (string, error) {
	info, err := os.Stat(path)
	switch _, linkErr := os.Lstat(path); {
	case errors.Is(err, os.ErrNotExist) && linkErr == nil:
		return "", fmt.Errorf("%s is a symbolic link that leads nowhere", path)
	case errors.Is(err, os.ErrNotExist):
		return path, nil
	case err != nil:
		return "", err
	case !info.Mode().IsRegular():
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	return filepath.EvalSymlinks(path)
}
