package install

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// errNotRegular is returned for what is no file with a text: a pipe, a socket, a
// device, a folder.
var errNotRegular = errors.New("not a regular file")

// mostText bounds what is read as a configuration.
const mostText = 16 << 20

// readRegular reads a regular file, symbolic links followed. It never waits, as
// opening a pipe does that nobody writes to.
func readRegular(path string) ([]byte, fs.FileInfo, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if errors.Is(err, unix.ENXIO) { // a socket
		return nil, nil, fmt.Errorf("%s is %w", path, errNotRegular)
	}
	if err != nil {
		return nil, nil, explain(err, path)
	}
	defer file.Close()
	info, err := file.Stat()
	switch {
	case err != nil:
		return nil, nil, err
	case !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s is %w", path, errNotRegular)
	}
	text, err := io.ReadAll(io.LimitReader(file, mostText+1))
	if err == nil && len(text) > mostText {
		err = fmt.Errorf("%s is larger than %d MiB: no configuration", path, mostText>>20)
	}
	return text, info, err
}
