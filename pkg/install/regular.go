package install

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// errNotRegular is the error of a pipe, a socket, a device or a folder.
var errNotRegular = errors.New("not a regular file")

// maxText bounds the size of a configuration in bytes.
const maxText = 16 << 20

// readRegular reads a regular file, and follows symbolic links. It never blocks: opening
// a pipe could wait for a writer.
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
	text, err := io.ReadAll(io.LimitReader(file, maxText+1))
	if err == nil && len(text) > maxText {
		err = fmt.Errorf("%s is larger than %d MiB, so it is no configuration", path, maxText>>20)
	}
	return text, info, err
}
